"""Tags: a part of a deploy is selected whole, and what selects nothing is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.dynfleet.inputs import tags

ROOT = Path(__file__).resolve().parents[3]
# What a part cannot do without, besides itself.
NEEDS = {
    "worker": {
        "Check the hosts before any is changed",
        "Prepare every host",
        "Collect the release on the builder",
        "Install the plan",
        "Install the release",
        "Try the release on the GPU hosts",
        "Bring the model",
        "Run the workers",
        "Restart workers",
    },
    "frontend": {
        "Prepare every host",
        "Collect the release on the builder",
        "Install the release",
        "Run the frontends",
        "Restart frontends",
    },
    "etcd": {"Prepare every host", "Run etcd", "Restart etcd members"},
    "nats": {"Prepare every host", "Run NATS", "Restart NATS servers"},
}


def plays() -> dict[str, dict[str, Any]]:
    """The plays of a deploy by name."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("deploy.yml", "rolling_restart.yml"):
        for play in yaml.safe_load((ROOT / "playbooks" / name).read_text()):
            if "hosts" in play:
                found[play["name"]] = play
    return found


def selected(tag: str) -> set[str]:
    """Names of the plays that a tag selects."""
    return {name for name, play in plays().items() if tag in play["tags"]}


def test_every_play_has_tags_and_every_tag_a_play() -> None:
    assert {tag for play in plays().values() for tag in play["tags"]} == set(tags.DEPLOY)


@pytest.mark.parametrize("part", NEEDS)
def test_a_part_brings_what_it_needs(part: str) -> None:
    assert selected(part) >= NEEDS[part]


@pytest.mark.parametrize("part", NEEDS)
def test_a_part_leaves_the_others_alone(part: str) -> None:
    others = {f"Run {name}" for name in ("etcd", "NATS", "the frontends", "the workers")}
    runs = {"etcd": "etcd", "nats": "NATS", "frontend": "the frontends", "worker": "the workers"}
    assert selected(part) & others == {f"Run {runs[part]}"}
    restarts = {name for name in selected(part) if name.startswith("Restart ")}
    assert len(restarts) == 1


@pytest.mark.parametrize("tag", ["release", "model", "host", "wheelhouse"])
def test_what_is_brought_in_advance_restarts_nothing(tag: str) -> None:
    assert not {name for name in selected(tag) if name.startswith(("Run ", "Restart "))}


def test_preflight_only_looks() -> None:
    looks = {"preflight", "plan", "planned", "check"}
    for name in selected("preflight"):
        for task in plays()[name]["tasks"]:
            if "ansible.builtin.debug" not in task:
                assert task["ansible.builtin.include_role"]["tasks_from"] in looks


def test_no_role_of_a_deploy_is_imported() -> None:
    """The check of an imported role's arguments runs whatever the tags, without its facts."""
    for name, play in plays().items():
        assert "roles" not in play, name
        for task in play["tasks"]:
            assert "ansible.builtin.import_role" not in task, name


@pytest.mark.parametrize(
    ("run", "skip", "known", "said"),
    [
        (["all"], [], tags.DEPLOY, ""),
        (["worker", "etcd"], ["roll"], tags.DEPLOY, ""),
        (["all"], ["roll"], tags.DEPLOY, ""),
        (["wroker"], [], tags.DEPLOY, "--tags wroker selects nothing here. Tags are: preflight:"),
        (["worker", "gds"], [], tags.DEPLOY, "--tags gds selects nothing"),
        (["untagged"], [], tags.DEPLOY, "--tags untagged selects nothing"),
        (["worker"], [], {}, "this playbook runs as a whole"),
        (["all"], ["roll"], {}, "this playbook runs as a whole"),
        (["model"], [], tags.ROLL, "--tags model selects nothing here. Tags are: etcd:"),
        (["all"], ["model"], tags.DEPLOY, "--skip-tags model would leave out half"),
        (["all"], ["worker"], tags.DEPLOY, "--skip-tags worker would leave out half"),
    ],
)
def test_what_is_refused(run: list[str], skip: list[str], known: Any, said: str) -> None:
    found = " ".join(tags.problems(run, skip, known))
    assert said in found
    assert bool(found) is bool(said)


@pytest.mark.parametrize(
    ("playbook", "option", "said"),
    [
        ("site.yml", "--tags=wroker", "site.yml: --tags wroker selects nothing here"),
        ("playbooks/drain.yml", "--tags=worker", "drain.yml: this playbook runs as a whole"),
        ("site.yml", "--skip-tags=worker", "--skip-tags worker would leave out half"),
        ("site.yml", "--tags=worker", ""),
    ],
)
def test_a_run_ends_before_its_first_task(playbook: str, option: str, said: str) -> None:
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventory/example", playbook, option, "--list-tasks"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode == 0) is (not said), done.stdout + done.stderr
    assert said in done.stderr
