"""The report: a pure function of what was seen."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.dynfleet import verdict
from ansible.module_utils.dynfleet.ports import Listener
from ansible.module_utils.dynfleet.verdict import Seen

WORKER = "dynamo-worker@0.service"
TABLE = [Listener("10.0.0.6", 9100, "dynamo-worker@0", "worker_system", True)]
SOCKET = {"address": "10.0.0.6", "port": 9100, "pid": 42, "process": "python", "unit": WORKER}


def unit(**changes: Any) -> dict[str, Any]:
    seen = {
        "name": WORKER,
        "expected": True,
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "result": "success",
        "enabled": True,
        "stale_definition": False,
        "restarts": 0,
        "pid": 42,
        "since": "",
        "want": "aa",
        "have": "aa",
    }
    return {**seen, **changes}


def look(*units: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"units": list(units or [unit()]), "sockets": [SOCKET], "plan_error": "", **changes}


def judge(first: Any = None, second: Any = None, service: Any = None) -> dict[str, Any]:
    seen = Seen(first or look(), second or look(), service or {}, TABLE)
    return verdict.judge({"gpu1": seen}, "2026-01-05T10:00:00+00:00")


def found(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item["unit"], item["check"], item["seen"]) for item in report["findings"]]


def test_all_well() -> None:
    report = judge()
    assert report["ok"] is True
    assert report["checked_at"] == "2026-01-05T10:00:00+00:00"
    assert report["hosts"]["gpu1"] == {
        "reached": True,
        "sockets": [{**SOCKET, "verdict": "listed"}],
    }
    assert [(item["host"], item["name"], item["ok"]) for item in report["units"]] == [
        ("gpu1", WORKER, True)
    ]


def test_nothing_to_look_at_is_no_success() -> None:
    assert verdict.judge({}, "")["ok"] is False


def test_unreachable_host() -> None:
    gone = {"unreachable": True, "msg": "Connection timed\nout"}
    report = judge(first=gone, second={"skipped": True})
    assert found(report) == [("", "probe", "host unreachable: Connection timed out")]
    assert report["hosts"]["gpu1"]["reached"] is False


def test_probe_without_a_result() -> None:
    report = judge(first={"failed_when_result": False, "msg": "no python"})
    assert found(report) == [("", "probe", "the probe ended without a result: no python")]


def test_host_that_goes_away_during_the_run() -> None:
    report = judge(second={"unreachable": True, "msg": "gone"})
    assert found(report) == [("", "second probe", "host unreachable: gone")]
    assert report["hosts"]["gpu1"]["sockets"]


def test_failed_unit_with_its_log() -> None:
    down = unit(active="failed", sub="failed", pid=0, have=None, log=["ERROR no GPU"])
    report = judge(first=look(down, sockets=[]), second=look(down, sockets=[]))
    (finding,) = report["findings"]
    assert (finding["host"], finding["unit"], finding["check"]) == ("gpu1", WORKER, "state")
    assert finding["log"] == ["ERROR no GPU"]
    assert report["units"][0]["ok"] is False
    assert "log" not in report["units"][0]


def test_unit_that_fails_during_the_run() -> None:
    report = judge(second=look(unit(active="failed", sub="failed", pid=0), sockets=[]))
    assert [item["check"] for item in report["findings"]] == ["state"]


def test_unit_that_is_restarted_during_the_run() -> None:
    report = judge(second=look(unit(pid=50, restarts=1)))
    assert found(report) == [(WORKER, "restarted during verify", "process 50, 1 restarts")]


def test_missing_plan() -> None:
    assert found(judge(first=look(plan_error="no such file"))) == [("", "plan", "no such file")]


def test_listener_that_opens_with_the_first_request() -> None:
    late = {**SOCKET, "address": "0.0.0.0", "port": 40001}
    report = judge(second=look(sockets=[SOCKET, late]))
    assert [(item["unit"], item["check"]) for item in report["findings"]] == [(WORKER, "listener")]


def test_service_findings_take_the_log_of_their_unit() -> None:
    idle = {"host": "gpu1", "unit": WORKER, "check": "served", "expected": "one", "seen": "none"}
    service = {"findings": [idle], "seen": {"models": ["m"]}, "figures": {"ttft_ms": 9.5}}
    report = judge(second=look(unit(log=["WARN queue is full"])), service=service)
    assert report["frontends"] == {"gpu1": {"models": ["m"]}}
    assert report["figures"] == {"gpu1": {"ttft_ms": 9.5}}
    assert report["findings"] == [{**idle, "log": ["WARN queue is full"]}]


def test_service_probe_without_a_result() -> None:
    report = judge(service={"failed": True, "msg": "crashed"})
    assert found(report) == [("", "service probe", "the probe ended without a result: crashed")]


def test_summary() -> None:
    down = unit(active="failed", sub="failed", pid=0, have="bb", log=["ERROR no GPU"])
    idle = {"host": "gpu1", "unit": WORKER, "check": "served", "expected": "one", "seen": "none"}
    service = {
        "findings": [idle],
        "seen": {
            "models": ["m"],
            "cached": {"tokens": 990, "of": 1100, "source": "nvext.timing.kv_hit_rate"},
            "served": {"workers": {"gpu1/a": "worker id"}},
        },
        "figures": {"ttft_ms": 9.5},
    }
    text = verdict.summary(judge(look(down, sockets=[]), look(down, sockets=[]), service))
    assert text.splitlines() == [
        "host  units ok  sockets  findings",
        "gpu1       0/1        0         2",
        "frontend gpu1: models m; first token 9.5 ms; 990 of 1100 tokens cached on the second ask"
        " (nvext.timing.kv_hit_rate); 1 workers served",
        "",
        f"FINDING gpu1 {WORKER}: state",
        "  expected: active",
        "  seen:     failed (failed), 0 restarts",
        "  | ERROR no GPU",
        "",
        f"FINDING gpu1 {WORKER}: served",
        "  expected: one",
        "  seen:     none",
    ]


def test_a_flapping_unit_is_a_finding_also_while_it_is_up() -> None:
    text = "restarted 3 times in 10 min by systemd, the last time after exit code 0"
    assert found(judge(look(unit(flapping=text)))) == [(WORKER, "flapping", text)]
    down = unit(flapping=text, active="activating", sub="auto-restart", restarts=3)
    ((_, check, seen),) = found(judge(look(down)))
    assert check == "state"
    assert seen.endswith(text)


def test_a_release_that_no_roll_has_closed_on_is_one_finding() -> None:
    links = {"current": "r2", "good": "r1", "previous": "r0"}
    seen = {
        name: Seen(look(releases=links), look(releases=links), {}, TABLE)
        for name in ("gpu1", "gpu2")
    }
    (finding,) = verdict.judge(seen, "")["findings"]
    assert (finding["check"], finding["expected"]) == ("release", "a roll to r2 has closed")
    assert finding["seen"].startswith("none has on gpu1, gpu2; the last good release is r1")
    closed = look(releases={**links, "good": "r2"})
    assert judge(closed)["findings"] == []
