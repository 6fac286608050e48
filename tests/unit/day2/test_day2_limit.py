"""The decision of a roll through Ansible, on an inventory of a hundred hosts and ``--limit``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import yaml
from day2_cases import worker
from stand_in_service import Etcd

ROOT = Path(__file__).resolve().parents[3]
# As rolling_restart.yml begins, but for the look at this host's units: there are none.
PLAY = [
    {
        "name": "Decide",
        "hosts": "workers",
        "connection": "local",
        "tasks": [
            {
                "name": "Look at the units",
                "ansible.builtin.set_fact": {
                    "roll_seen": {"units": [worker(0, differs=True)], "trouble": []}
                },
            },
            {
                "name": "Decide",
                "ansible.builtin.import_tasks": str(ROOT / "playbooks/tasks/decide.yml"),
            },
        ],
    }
]


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    server = Etcd(*(f"10.9.0.{number}:9200" for number in range(100)))
    yield server
    server.stop()


def decide(place: Path, etcd: Etcd, limit: str, **variables: Any) -> tuple[str, dict[str, Any]]:
    """Status of the run, and what fleet_plan said."""
    workers = {f"gpu{n:02}": {"ansible_host": f"10.9.0.{n}"} for n in range(100)}
    # Nobody listens there: this machine's own frontend, etcd and NATS are not asked.
    control = {"hosts": {"c1": {"ansible_host": "127.0.0.9"}}}
    groups = dict.fromkeys(("etcd", "nats", "builder", "frontends"), control)
    children = {**groups, "workers": {"hosts": workers}}
    (place / "runner").mkdir()
    (place / "inventory").mkdir()
    (place / "inventory/group_vars").symlink_to(ROOT / "group_vars")
    (place / "inventory/hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
    (place / "play.yml").write_text(yaml.safe_dump(PLAY))
    run = ansible_runner.run(
        private_data_dir=str(place / "runner"),
        playbook=str(place / "play.yml"),
        inventory=str(place / "inventory"),
        limit=limit,
        extravars={"roll_etcd": [etcd.url], **variables},
        envvars={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        quiet=True,
        timeout=120,
    )
    said = [
        event["event_data"]["res"]
        for event in run.events
        if event["event"] in ("runner_on_ok", "runner_on_failed")
        and event["event_data"]["task_action"] == "fleet_plan"
    ]
    assert len(said) == 1, run.stdout.read()
    return run.status, said[0]


def test_one_host_of_a_hundred_is_rolled(tmp_path: Path, etcd: Etcd) -> None:
    status, said = decide(tmp_path, etcd, "gpu05")
    assert status == "successful", said
    assert said["turns"]["gpu05"][0]["floor"] == 75
    assert said["order"] == said["probe"] == ["gpu05"]


def test_what_is_out_elsewhere_counts(tmp_path: Path, etcd: Etcd) -> None:
    etcd.places = [f"10.9.0.{number}:9200" for number in range(75)]
    status, said = decide(tmp_path, etcd, "gpu05")
    assert status == "failed"
    assert "out are 25 on hosts that are not in this run (gpu75, gpu76" in said["msg"]
    assert "of 100 workers 25 may be (roll_max_out: 25%)" in said["msg"]
