"""Judging units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.verify import alarms, units

SHOWN = {
    "Id": "dynamo-nats.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "MainPID": "42",
    "NRestarts": "0",
    "NeedDaemonReload": "no",
    "UnitFileState": "enabled",
    "StateChangeTimestamp": "Mon 2026-01-05 10:00:00 UTC",
}
GOOD = {
    "want": "aa",
    "have": "aa",
    "health": {"url": "http://h/", "wanted": "HTTP 200", "seen": "HTTP 200", "ok": True},
}
SICK = {"url": "http://h/", "wanted": "HTTP 200", "seen": "HTTP 503 notready", "ok": False}


def unit(shown: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {**units.observe({**SHOWN, **(shown or {})}, "dynamo-nats.service"), **GOOD, **more}


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (unit(), []),
        (units.observe(None, "x.service"), [("unit", "not-found")]),
        (unit({"UnitFileState": "disabled"}), [("enabled", "not enabled")]),
        (
            unit({"NeedDaemonReload": "yes"}),
            [("definition", "changed on disk; systemd has the old one")],
        ),
        (
            unit({"ActiveState": "failed", "SubState": "failed", "Result": "signal"}, have=None),
            [
                (
                    "state",
                    "failed (failed, result signal) since Mon 2026-01-05 10:00:00 UTC, 0 restarts",
                )
            ],
        ),
        (unit(have="bb"), [("fingerprint", "the process runs with bb")]),
        (unit(have=None), [("fingerprint", "the process runs with none")]),
        (unit(want=None), [("fingerprint", "the process runs with aa")]),
        (unit(health=SICK), [("health", "HTTP 503 notready")]),
        (
            unit(have="bb", health=SICK),
            [("fingerprint", "the process runs with bb"), ("health", "HTTP 503 notready")],
        ),
        (unit({"ActiveState": "inactive"}, expected=False), []),
    ],
)
def test_problems(seen: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert [(problem["check"], problem["seen"]) for problem in units.problems(seen)] == found


# What etcd 3.4.23 answered with a store at its quota; its /health says no more than this.
FULL = {"alarms": [{"memberID": "3319814642761637952", "alarm": "NOSPACE"}]}


def test_full_store_of_etcd_is_named_with_what_to_do() -> None:
    """Instead of the health that follows from it."""
    health = {**SICK, "seen": 'HTTP 503 {"health":"false"}'}
    (problem,) = units.problems(unit(health=health, alarms=alarms.told(FULL)))
    assert problem["check"] == "alarm"
    assert problem["seen"].startswith("alarm NOSPACE (member 2e1259d415f2a040): the store has")
    assert "docs/etcd.md, The store is full (NOSPACE)" in problem["seen"]
    page = Path(__file__).resolve().parents[3] / "docs" / "etcd.md"
    assert "\n## The store is full (NOSPACE)\n" in page.read_text()


@pytest.mark.parametrize("document", [None, {}, {"alarms": []}, [], {"alarms": None}])
def test_unhealthy_etcd_without_an_alarm_is_told_as_before(document: Any) -> None:
    (problem,) = units.problems(unit(health=SICK, alarms=alarms.told(document)))
    assert problem["check"] == "health"


def test_alarms_of_several_members_are_told_once_each() -> None:
    both = [{"memberID": str(number), "alarm": "CORRUPT"} for number in (10, 11)]
    (said,) = alarms.told({"alarms": both})
    assert said.startswith("alarm CORRUPT (member a, b): ")
    assert "etcd_replace.yml" in said


def test_unit_that_nobody_expects() -> None:
    (problem,) = units.problems(unit(expected=False))
    assert (problem["check"], problem["expected"]) == ("unit", "no such unit on this host")


def test_a_target_has_neither_process_nor_fingerprint() -> None:
    shown = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    assert units.problems(units.observe(shown, "dynamo.target")) == []


@pytest.mark.parametrize(
    ("status", "document", "answer", "good"),
    [
        (200, {"status": "ready", "uptime": {}}, {"status": "ready"}, True),
        (200, {"health": "true"}, {"health": "true"}, True),
        (200, None, {}, True),
        (200, None, {"status": "ready"}, False),
        (200, {"status": "notready"}, {"status": "ready"}, False),
        (503, {"status": "ready"}, {"status": "ready"}, False),
        (0, None, {}, False),
    ],
)
def test_healthy(status: int, document: Any, answer: dict[str, str], good: bool) -> None:
    assert units.healthy(status, document, answer) is good


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (unit(), unit(), []),
        (unit(), unit({"MainPID": "43", "NRestarts": "1"}), ["process 43, 1 restarts"]),
        (unit(), unit({"MainPID": "43"}), ["process 43, 0 restarts"]),  # restarted by hand
        (unit(), unit({"MainPID": "0", "ActiveState": "failed"}), []),  # its state says it
        (unit({"ActiveState": "activating"}), unit({"MainPID": "43"}), []),  # it came up
        (unit(expected=False), unit({"MainPID": "43"}, expected=False), []),
    ],
)
def test_during_run(before: dict[str, Any], after: dict[str, Any], found: list[str]) -> None:
    assert [problem["seen"] for problem in units.during_run(before, after)] == found


def test_telling_lines() -> None:
    log = [
        "10:00:00 INFO started",
        "10:00:01 ERROR response failed with 503 in 7 ms",
        "10:00:02 ERROR response failed with 503 in 9 ms",
        "10:00:03 INFO going on",
        "10:00:04 Main process exited, code=killed, status=9/KILL",
        "10:00:05 Scheduled restart job, restart counter is at 1.",
    ]
    assert units.telling(log) == [f"{log[2]} (2 such lines)", log[4], log[5]]
    assert units.telling(log[:1]) == log[:1]
    assert units.telling([]) == []
    assert units.telling([f"step {i}" for i in range(50)], most=2) == ["step 48", "step 49"]
    (cut,) = units.telling(["ERROR " + "x" * 1000])
    assert len(cut) == 300
