"""A batch of a roll of which one host's turn is lost: the others stop before their next worker.

The real actions and the real lock, in a real run of Ansible; the turn itself and etcd are
stand-ins, and hosts are names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
from ansible.module_utils.dynfleet.day2 import lock
from etcd_stand_in import EtcdStandIn

PROJECT = Path(__file__).resolve().parents[3]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


@pytest.fixture
def etcd() -> Iterator[EtcdStandIn]:
    server = EtcdStandIn()
    yield server
    server.close()


def plays(etcd: EtcdStandIn, log: Path) -> list[dict[str, Any]]:
    """The skeleton of playbooks/rolling_restart.yml: the lock, then two hosts with two turns."""
    take = {"roll_lock": {"etcd": [etcd.url], "what": "restart all"}, "register": "roll"}
    turn = {
        "name": "Turn",
        "worker_service": {
            "address": "{{ inventory_hostname }}",
            "workers": ["{{ item }}"],
            "etcd": [etcd.url],
            "run": "{{ hostvars.n2.roll.run }}",
            "log": str(log),
        },
        "loop": [0, 1],
        "loop_control": {"break_when": ["turns is failed"]},
        "register": "turns",
    }
    return [
        {"hosts": "n2", "gather_facts": False, "tasks": [take]},
        {
            "hosts": "n1:n2",
            "gather_facts": False,
            "serial": 2,
            "any_errors_fatal": True,
            "tasks": [turn],
        },
    ]


def roll(folder: Path, etcd: EtcdStandIn, first: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """Run it; the run, and what was said of the failed turns by host."""
    library = folder / "library"
    library.mkdir(parents=True)
    (library / "worker_turn.py").symlink_to(Path(__file__).parent / "stand_in_turn.py")
    settings = {
        "library": f"{library}:{PROJECT / 'library'}",
        "module_utils": PROJECT / "library/module_utils",
        "action_plugins": PROJECT / "library/action_plugins",
        "home": folder / "home",
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (folder / "ansible.cfg").write_text("\n".join(["[defaults]", *lines, ""]))
    (folder / "play.yml").write_text(json.dumps(plays(etcd, folder / "log")))
    done = ansible_runner.run(
        private_data_dir=str(folder),
        project_dir=str(folder),
        playbook="play.yml",
        inventory={"all": {"hosts": {"n1": first, "n2": LOCAL}}},
        envvars={"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_SSH_RETRIES": "0"},
        quiet=True,
        timeout=120,
    )
    said = {
        event["event_data"]["host"]: str(event["event_data"]["res"].get("msg"))
        for event in done.events
        if event["event"] in ("runner_item_on_failed", "runner_on_unreachable")
    }
    return done, said


def turns(folder: Path) -> list[str]:
    log = folder / "log"
    return sorted(log.read_text().split()) if log.exists() else []


def ended(etcd: EtcdStandIn) -> str:
    return str(json.loads(etcd.keys[lock.KEY][0])["ended"])


def test_a_module_that_was_killed_ends_the_roll(tmp_path: Path, etcd: EtcdStandIn) -> None:
    (tmp_path / "kill").touch()
    done, said = roll(tmp_path, etcd, LOCAL)
    assert done.rc == 2, done.stdout.read()
    assert turns(tmp_path) == ["n1:0", "n2:0"]
    assert "killed by SIGKILL" in said["n1"]
    assert "The same command again completes" in said["n1"]
    assert "n2 was not touched: the roll has ended: n1: worker_service ended without" in said["n2"]
    assert ended(etcd).startswith("n1: worker_service ended without an answer")


def test_a_host_that_is_not_reached_ends_the_roll(tmp_path: Path, etcd: EtcdStandIn) -> None:
    done, said = roll(tmp_path, etcd, GONE)
    assert done.rc != 0, done.stdout.read()
    # The other host may have begun its first turn already, and begins no other.
    assert turns(tmp_path) in ([], ["n2:0"])
    assert "n1 is no longer reached" in said["n1"]
    assert "n2 was not touched: the roll has ended: n1: " in said["n2"]
    assert "n1: " in ended(etcd)


def test_a_roll_without_a_fault_does_all_turns(tmp_path: Path, etcd: EtcdStandIn) -> None:
    done, said = roll(tmp_path, etcd, LOCAL)
    assert done.rc == 0, done.stdout.read()
    assert (said, turns(tmp_path)) == ({}, ["n1:0", "n1:1", "n2:0", "n2:1"])
    assert ended(etcd) == ""


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        (
            "worker_service",
            {
                "state": "restarted",
                "workers": [0],
                "plan": "/nonexistent/plan.json",
                "address": "10.0.0.6",
                "namespace": "dynamo",
                "etcd": ["http://127.0.0.1:1"],
                "frontends": [],
                "model": "lab",
                "by": "roll",
                "who": "anna",
            },
            "/nonexistent/plan.json is not there: this host has no workers",
        ),
        (
            "unit_restart",
            {"unit": "dynamo-none.service", "etcd": ["http://127.0.0.1:1"], "url": ""},
            "restarted: true",
        ),
    ],
)
def test_an_action_finds_its_module_from_any_folder(
    tmp_path: Path, name: str, arguments: dict[str, Any], said: str
) -> None:
    """From the project's own folder Ansible would look beside it."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "adhoc", "localhost", "-c", "local", "--check"),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
            *("-m", name, "-a", json.dumps(arguments)),
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said in done.stdout, done.stdout + done.stderr
    assert "cannot import name" not in done.stdout
