"""The controller's note of a roll: it stays for as long as its lock may be in etcd.

The real action in a real run of Ansible; its module's end, and etcd, are stand-ins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.day2 import lock
from etcd_stand_in import EtcdStandIn

PROJECT = Path(__file__).resolve().parents[3]
KILLED = """
import os
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def etcd() -> Iterator[EtcdStandIn]:
    server = EtcdStandIn()
    yield server
    server.close()


def take(folder: Path, endpoint: str, module: str = "") -> tuple[int, str]:
    """Take the lock; module: what stands in for roll_lock_key. Its exit code and output."""
    stand_ins = folder / "stand_ins"
    stand_ins.mkdir()
    if module:
        (stand_ins / "roll_lock_key.py").write_text(f"#!/usr/bin/python\n{module}")
    (folder / "ansible.cfg").touch()
    wanted = json.dumps({"etcd": [endpoint], "what": "restart all"})
    done = subprocess.run(
        ["ansible", "here", "-i", "here,", "-c", "local", "-m", "roll_lock", "-a", wanted],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder),
            "ANSIBLE_LIBRARY": f"{stand_ins}:{PROJECT / 'library'}",
            "ANSIBLE_MODULE_UTILS": str(PROJECT / "library" / "module_utils"),
            "ANSIBLE_ACTION_PLUGINS": str(PROJECT / "library" / "action_plugins"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def tokens(folder: Path) -> list[str]:
    return [path.stem for path in (folder / "dynfleet" / "rolls").iterdir()]


def test_a_lock_that_was_taken_is_noted(tmp_path: Path, etcd: EtcdStandIn) -> None:
    code, said = take(tmp_path, etcd.url)
    assert code == 0, said
    assert tokens(tmp_path) == [json.loads(etcd.keys[lock.KEY][0])["token"]]


def test_a_lock_that_was_refused_is_not(tmp_path: Path, etcd: EtcdStandIn) -> None:
    etcd.put(lock.KEY, json.dumps({"run": "r1", "who": "anna@c1"}))
    code, said = take(tmp_path, etcd.url)
    assert code == 2
    assert "another roll is running: run r1 of anna@c1" in said
    assert tokens(tmp_path) == []


def test_a_module_that_was_killed_may_have_taken_it(tmp_path: Path, etcd: EtcdStandIn) -> None:
    code, said = take(tmp_path, etcd.url, KILLED)
    assert code == 2, said
    assert len(tokens(tmp_path)) == 1
