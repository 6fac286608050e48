"""Who may be taken out of service now, by what discovery has at that moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible.module_utils.dynfleet.day2 import turn
from ansible.module_utils.dynfleet.day2.workers import Worker
from stand_in_service import Etcd

PLANNED = {"ports": {"system": 9100, "request": 9200}, "gpus": []}


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    server = Etcd()
    yield server
    server.stop()


def a_turn(etcd: Etcd, state: str) -> turn.Turn:
    """A worker in this state, whose turn wants nine others in service."""
    worker = Worker({"index": 0, **PLANNED}, "10.0.0.5")
    worker.state = {"ActiveState": state}
    params = {"etcd": [etcd.url], "namespace": "dynamo", "floor": 9, "frontends": []}
    params.update(dict.fromkeys(("by", "who", "why", "run")))
    return turn.Turn(params, "live", [worker])


def others(count: int) -> list[str]:
    return [f"10.0.0.6:{9200 + n}" for n in range(count)]


@pytest.mark.parametrize(
    ("state", "mine"),
    [
        ("failed", []),
        # Its process has ended, its lease has not.
        ("failed", ["10.0.0.5:9200"]),
        # Cordoned by a roll that died.
        ("active", []),
    ],
)
def test_what_does_not_serve_waits_for_nobody(etcd: Etcd, state: str, mine: list[str]) -> None:
    etcd.places = others(3) + mine
    one = a_turn(etcd, state)
    one.wait_room(one.workers)


def test_what_serves_waits_for_the_others(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "ROOM_SECONDS", 0.5)
    one = a_turn(etcd, "active")
    etcd.places = ["10.0.0.5:9200", *others(9)]
    one.wait_room(one.workers)
    etcd.places = ["10.0.0.5:9200", *others(8)]
    with pytest.raises(turn.Failed, match="8 other workers are in service, 9 have to be"):
        one.wait_room(one.workers)
