"""Who may take over a roll's lock, and how a roll ends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.day2 import lock
from ansible.module_utils.dynfleet.day2.notes import Notes, Process, process
from ansible.module_utils.dynfleet.etcd import Etcd
from etcd_stand_in import EtcdStandIn

HOLDER: dict[str, Any] = {
    "run": "r1",
    "who": "anna@c1",
    "controller": "c1",
    "boot": "b1",
    "pid": 7,
    "started": "99",
    "token": "t1",
    "since": "2026-01-05T10:00:00Z",
    "what": "restart all",
    "ended": "",
}


@pytest.fixture
def etcd() -> Iterator[EtcdStandIn]:
    server = EtcdStandIn()
    server.put(lock.KEY, json.dumps(HOLDER), 7)
    server.leases.add(7)
    yield server
    server.close()


@pytest.fixture
def roller() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a playbook."""
    started = subprocess.Popen(["sleep", "600"])
    yield started
    started.kill()
    started.wait()


def end(roller: subprocess.Popen[bytes]) -> None:
    roller.kill()
    roller.wait()


def me() -> Process:
    return process(os.getpid())


@pytest.mark.parametrize(
    ("holder", "gone", "dead"),
    [
        ({}, ["t1"], True),
        ({}, ["t2"], False),
        ({}, [], False),
        # A lock of an earlier version, and one of nobody.
        ({"token": None}, ["t1"], False),
        ({"ended": "gpu1: failed"}, [], True),
    ],
)
def test_dead(holder: dict[str, Any], gone: list[str], dead: bool) -> None:
    assert lock.dead({**HOLDER, **holder}, gone) is dead


def test_a_roll_whose_process_has_ended_here_is_dead(
    tmp_path: Path, roller: subprocess.Popen[bytes]
) -> None:
    token = Notes(tmp_path, process(roller.pid)).begin()
    here = Notes(tmp_path, me())
    assert here.gone() == []
    end(roller)
    assert here.gone() == [token]
    here.forget(token)
    assert here.gone() == []


def test_an_earlier_roll_of_the_same_process_is_over(tmp_path: Path) -> None:
    here = Notes(tmp_path, me())
    token = here.begin()
    assert here.gone() == [token]


@pytest.mark.parametrize(
    "elsewhere",
    [
        # A clone of the controller that was started, and the controller itself after a reset.
        {"boot": "another"},
        # Two containers of one kernel with one home directory.
        {"namespace": "1"},
    ],
)
def test_a_process_that_would_not_be_seen_is_not_dead(
    tmp_path: Path, roller: subprocess.Popen[bytes], elsewhere: dict[str, str]
) -> None:
    Notes(tmp_path, process(roller.pid)).begin()
    end(roller)
    assert Notes(tmp_path, me()._replace(**elsewhere)).gone() == []


def test_a_machine_of_the_same_name_and_snapshot_knows_nothing_of_it(
    tmp_path: Path, roller: subprocess.Popen[bytes]
) -> None:
    token = Notes(tmp_path / "one", process(roller.pid)).begin()
    end(roller)
    assert not lock.dead({**HOLDER, "token": token}, Notes(tmp_path / "other", me()).gone())


def test_an_id_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    earlier = me()._replace(started="1")
    token = Notes(tmp_path, earlier).begin()
    assert Notes(tmp_path, me()).gone() == [token]


def test_notes_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    for name, content in {"a": "{", "b": "[]", "c": '{"process": {"pid": 1}}'}.items():
        (tmp_path / f"{name}.json").write_text(content)
    assert Notes(tmp_path, me()).gone() == []


def test_a_roll_is_stopped_for_all_of_its_process_and_for_nobody_else(
    tmp_path: Path, roller: subprocess.Popen[bytes]
) -> None:
    mine, other = Notes(tmp_path, me()), Notes(tmp_path, process(roller.pid))
    mine.begin()
    other.begin()
    assert mine.stopped() == ""
    mine.stop("gpu1: unreachable")
    mine.stop("gpu2: stopped with it")
    assert Notes(tmp_path, me()).stopped() == "gpu1: unreachable"
    assert other.stopped() == ""
    # The way back is a roll of the same process.
    over = mine.gone()
    mine.begin()
    mine.forget(*over)
    assert mine.stopped() == ""


def test_a_name_that_two_machines_have_is_told() -> None:
    assert "may still run" in lock.doubt(HOLDER, {"controller": "c1", "boot": "b2"})
    assert lock.doubt(HOLDER, {"controller": "c1", "boot": "b1"}) == ""
    assert lock.doubt(HOLDER, {"controller": "c2", "boot": "b2"}) == ""


def test_only_the_same_wish_is_gone_on_with() -> None:
    assert lock.resumes(HOLDER, "restart all")
    assert not lock.resumes(HOLDER, "restart gpu1")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TypeError("unsupported operand"), "gpu1: unsupported operand"),
        (OSError(28, "No space left on device"), "gpu1: [Errno 28] No space left on device"),
        (subprocess.TimeoutExpired(["systemctl", "stop"], 60), "gpu1: Command "),
        (KeyboardInterrupt(), "gpu1: KeyboardInterrupt"),
        (SystemExit(1), "gpu1: 1"),
    ],
)
def test_whatever_ends_a_turn_ends_the_roll(
    etcd: EtcdStandIn, error: BaseException, said: str
) -> None:
    with pytest.raises(type(error)), lock.ended_by_failure([etcd.url], "r1", "gpu1"):
        raise error
    with pytest.raises(lock.Stopped, match="the roll has ended: gpu1"):
        lock.hold(Etcd([etcd.url]), "r1")
    assert json.loads(etcd.keys[lock.KEY][0])["ended"].startswith(said)


def test_the_first_reason_stays_and_success_ends_nothing(etcd: EtcdStandIn) -> None:
    with lock.ended_by_failure([etcd.url], "r1", "gpu1"):
        pass
    assert lock.hold(Etcd([etcd.url]), "r1").lease == 7
    lock.end(Etcd([etcd.url]), "r1", "")
    lock.end(Etcd([etcd.url]), "r1", "another")
    lock.end(Etcd([etcd.url]), "r2", "not mine")
    assert json.loads(etcd.keys[lock.KEY][0])["ended"] == "for an unknown reason"


def test_an_error_is_not_hidden_by_etcd_that_does_not_answer() -> None:
    with pytest.raises(TypeError), lock.ended_by_failure(["http://127.0.0.1:1"], "r1", "gpu1"):
        raise TypeError
