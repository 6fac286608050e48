"""Turns that end badly: what the modules say and do about it. etcd is a stand-in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import unit_restart
import worker_service
from ansible.module_utils.dynfleet.day2 import lock
from ansible.module_utils.testing import patch_module_args
from etcd_stand_in import EtcdStandIn

PLAN = {"workers": [{"index": 0, "ports": {"system": 1, "request": 2}, "gpus": []}], "source": ""}


@pytest.fixture
def etcd() -> Iterator[EtcdStandIn]:
    server = EtcdStandIn()
    server.put(lock.KEY, json.dumps({"run": "r1", "ended": ""}), 7)
    server.leases.add(7)
    yield server
    server.close()


@pytest.fixture
def turn(
    etcd: EtcdStandIn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., dict[str, Any]]:
    """A turn of one of the modules; its result."""
    monkeypatch.setattr(worker_service.marks, "LOCK", str(tmp_path / "lock"))
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(PLAN))
    common = {"etcd": [etcd.url], "run": "r1"}
    arguments: dict[ModuleType, dict[str, Any]] = {
        unit_restart: {"unit": "dynamo-etcd.service", "url": "http://127.0.0.1:1/"},
        worker_service: {
            "state": "restarted",
            "workers": [0],
            "plan": str(plan),
            "address": "10.0.0.6",
            "namespace": "dynamo",
            "frontends": [etcd.url],
            "model": "lab",
            "by": "roll",
            "who": "anna",
        },
    }

    def call(module: ModuleType, **more: Any) -> dict[str, Any]:
        with patch_module_args({**arguments[module], **common, **more}), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


FULL = OSError(28, "No space left on device", "/var/lib/dynamo/roll/x.json")
HUNG = subprocess.TimeoutExpired(["systemctl", "show", "x"], 60)
PLACES = {
    worker_service: "The turn of worker 0",
    unit_restart: "The restart of dynamo-etcd.service",
}
ERRORS: list[tuple[Exception, str]] = [
    (TypeError("'<' not supported"), "fault of this program, not of the host: TypeError: '<' not"),
    (ValueError("invalid literal"), "fault of this program, not of the host: ValueError"),
    (FULL, "No space left on device: '/var/lib/dynamo/roll/x.json'"),
    (HUNG, "'systemctl show x' did not answer within 60 s"),
]


@pytest.mark.parametrize(("error", "said"), ERRORS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("module", list(PLACES), ids=lambda module: str(module.__name__))
def test_an_error_that_nobody_foresaw_ends_the_roll_and_is_told(
    turn: Callable[..., dict[str, Any]],
    etcd: EtcdStandIn,
    monkeypatch: pytest.MonkeyPatch,
    *,
    module: ModuleType,
    error: Exception,
    said: str,
) -> None:
    if module is worker_service:
        monkeypatch.setattr(worker_service.Turn, "run", raising(error))
    else:
        monkeypatch.setattr(unit_restart.Unit, "look", raising(error))
    result = turn(module)
    first, do, *trace = result["msg"].splitlines()
    assert result["failed"]
    assert first.startswith(f"{PLACES[module]} was interrupted")
    assert said in first
    assert "The same command again" in do
    assert trace[0].startswith("Traceback")
    assert type(error).__name__ in trace[-1]
    ended = json.loads(etcd.keys[lock.KEY][0])["ended"]
    assert str(error).split("'", maxsplit=1)[0] in ended


def test_no_plan_is_told_without_a_traceback(
    turn: Callable[..., dict[str, Any]], etcd: EtcdStandIn, tmp_path: Path
) -> None:
    result = turn(worker_service, plan=str(tmp_path / "none.json"))
    assert "never deployed" in result["msg"]
    assert "Traceback" not in result["msg"]
    assert "never deployed" in json.loads(etcd.keys[lock.KEY][0])["ended"]


@pytest.mark.parametrize("more", [{"run": None}, {"_ansible_check_mode": True}])
def test_what_is_no_turn_of_a_roll_ends_none(
    turn: Callable[..., dict[str, Any]], etcd: EtcdStandIn, tmp_path: Path, more: dict[str, Any]
) -> None:
    assert turn(worker_service, plan=str(tmp_path / "none.json"), **more)["failed"]
    assert json.loads(etcd.keys[lock.KEY][0])["ended"] == ""
