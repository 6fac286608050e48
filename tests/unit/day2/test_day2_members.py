"""Members asked over HTTP, and the wait for enough of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import unit_restart
from ansible.module_utils.dynfleet.day2 import members
from ansible.module_utils.dynfleet.day2.workers import Unit
from stand_in_service import Frontend


@pytest.fixture
def pair() -> Iterator[tuple[Frontend, Frontend]]:
    two = Frontend(), Frontend()
    yield two
    for one in two:
        one.server_close()


def described(*servers: Frontend) -> dict[str, members.Member]:
    answer = {"status": "healthy"}
    return {
        f"c{number}": {"url": f"{server.url}/health", "answer": answer}
        for number, server in enumerate(servers)
    }


def test_a_frontend_serves_when_its_router_has_workers(pair: tuple[Frontend, Frontend]) -> None:
    every = described(*pair)
    assert members.health("frontends", every) == {"c0": "", "c1": ""}
    pair[1].worker = None
    said = members.health("frontends", every)
    assert said == {"c0": "", "c1": f"the router of {pair[1].url} has no worker"}
    # Where none has any there is nothing that one of them could take over.
    pair[0].worker = None
    assert members.health("frontends", every) == {"c0": "", "c1": ""}
    pair[1].stop()
    assert "ConnectionRefusedError" in members.health("frontends", every)["c1"]


def test_one_is_not_taken_while_the_other_is_away(pair: tuple[Frontend, Frontend]) -> None:
    every = described(*pair)
    pair[1].status = 503
    began = time.monotonic()
    with pytest.raises(members.Short, match="0 of the other 1 serve, 1 have to be left") as raised:
        members.wait_enough("frontends", every, every["c0"]["url"], 1, 1.5)
    assert 1.5 <= time.monotonic() - began < 6
    assert f"c1: {every['c1']['url']} says HTTP 503" in str(raised.value)
    assert "c0" not in str(raised.value)
    assert "roll_allow_outage" in str(raised.value)
    members.wait_enough("frontends", every, every["c0"]["url"], 0, 0)


def test_it_waits_until_the_other_is_back(pair: tuple[Frontend, Frontend]) -> None:
    every = described(*pair)
    pair[1].status = 503
    back = threading.Timer(1.2, setattr, (pair[1], "status", 200))
    back.start()
    began = time.monotonic()
    members.wait_enough("frontends", every, every["c0"]["url"], 1, 20)
    assert 1 <= time.monotonic() - began < 10


def test_only_what_serves_waits_for_the_others(
    pair: tuple[Frontend, Frontend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_restart, "PEER_SECONDS", 0.5)
    every = described(*pair)
    params = {**every["c0"], "group": "frontends", "members": every, "needed": 1}
    unit = Unit("dynamo-frontend.service")
    unit.state = {"ActiveState": "active"}
    assert unit_restart.make_way(params, unit) == ""
    pair[1].status = 503
    with pytest.raises(members.Short, match="c1: "):
        unit_restart.make_way(params, unit)
    # One that hangs, and one that is down, take nobody away.
    pair[0].status = 503
    assert unit_restart.make_way(params, unit) == ""
    pair[0].status = 200
    unit.state = {"ActiveState": "failed"}
    assert unit_restart.make_way(params, unit) == ""
