"""What status says of units, routes and releases."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.dynfleet.day2 import table


def row(**more: Any) -> dict[str, Any]:
    """A worker that serves."""
    return {
        "name": "dynamo-worker@0.service",
        "index": 0,
        "active": True,
        "state": "active (running)",
        "since": "Tue 2026-01-06 10:00:00 UTC",
        "release": "r1",
        "ready": True,
        "registered": True,
        "differs": False,
        "instance": 7,
        "flapping": "",
        **more,
    }


def fleet(worker: dict[str, Any], **routed: list[int] | None) -> dict[str, dict[str, Any]]:
    """A worker host, and frontends by what their routers have."""
    links = {"current": "r1", "good": "r1", "previous": ""}
    hosts = {"gpu1": {"units": [worker], "routed": None, "releases": links}}
    for name, ids in routed.items():
        hosts[name] = {"units": [], "routed": ids, "releases": links}
    return hosts


def said(worker: dict[str, Any], **routed: list[int] | None) -> str:
    hosts = fleet(worker, **routed)
    table.add_routes(hosts)
    return table.out_of_service(worker)


def test_a_worker_that_all_route_to_is_in_service() -> None:
    assert said(row(), a=[7, 8], b=[7]) == ""


def test_a_worker_that_runs_and_is_not_routed_is_named_with_the_frontend() -> None:
    text = said(row(), a=[7], b=[8])
    assert text.startswith("registered, but not routed by b:")
    assert "journalctl -u dynamo-frontend" in text


def test_a_silent_frontend_says_nothing_of_routes() -> None:
    assert said(row(), a=None) == ""


def test_what_is_cordoned_is_told_as_that() -> None:
    mark = {"by": "roll", "who": "anna@c1", "since": "2026-01-05T10:00:00Z", "why": "", "run": "1"}
    assert said(row(registered=False, cordoned=mark), a=[]).startswith("cordoned")


def test_a_flapping_worker_is_named_also_while_it_is_up() -> None:
    text = "restarted 3 times in 10 min by systemd, the last time after exit code 0"
    assert said(row(flapping=text), a=[7]) == text
    assert said(row(flapping=text, active=False), a=[]) == text


def test_a_release_that_no_roll_has_closed_on() -> None:
    hosts = fleet(row())
    assert list(table.unfinished(hosts)) == []
    hosts["gpu1"]["releases"] = {"current": "r2", "good": "r1", "previous": "r0"}
    (line,) = table.unfinished(hosts)
    assert line.startswith("gpu1: release r2 is current, and no roll has closed on it")
    assert "r1" in line
    # Hosts of an earlier version of the project have noted nothing yet.
    hosts["gpu1"]["releases"] = {"current": "r2", "good": "", "previous": "r0"}
    assert list(table.unfinished(hosts)) == []
