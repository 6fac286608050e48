"""The end of a roll, as it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
URL = "http://10.0.0.5:8000"
RATES = {"failed_percent": 0.0, "ttft_ms": 30.0, "hit_rate": 0.5}
AFTER = {
    "requests": 12,
    "failures": 0,
    "rates": RATES,
    "refill_seconds": None,
    "uncounted": [],
}


def seen(*outages: list[float]) -> dict[str, Any]:
    """Three failures an outage."""
    failures = 3 * len(outages)
    return {
        "asked": 40,
        "failures": failures,
        "kinds": {"refused": failures - 1, "404": 1} if outages else {},
        "longest_gap": max((end - begin for begin, end in outages), default=0.0),
        "outages": list(outages),
    }


def told(
    place: Path, frontends: list[str], outside: dict[str, Any], failed: dict[str, Any] | None = None
) -> list[str]:
    """The lines of the report. The restart of the first frontend took from 1000 to 1003.

    failed: how a turn before that ended; the lines are those of the failure.
    """
    turn = {"restarted": True, "away": [1000.0, 1003.0], "leader": ""}
    led = {"restarted": True, "away": [990.0, 992.5], "leader": "c2"}
    hosts = {name: {"roll_frontend_turn": turn if name == "c1" else {}} for name in frontends}
    hosts["c1"]["roll_etcd_turn"] = led
    if failed:
        del hosts["c1"]["roll_frontend_turn"]
    inventory = {"all": {"children": {"frontends": {"hosts": hosts}}}}
    (place / "hosts.yml").write_text(yaml.safe_dump(inventory))
    play = {
        "name": "Tell",
        "hosts": "c1",
        "gather_facts": False,
        "vars": {
            "roll_plan": {"order": [], "singles": {"etcd": ["c1"], "frontends": ["c1"]}},
            "roll_lock": {"run": "r1", "resumed": False},
            "roll_after": AFTER,
            "roll_before": {"rates": RATES, "requests": 30, "window_seconds": 5},
            "roll_min_requests": 20,
            "roll_refill_seconds": 0,
            "roll_probed": outside,
            "roll_ended": failed or {},
        },
        "tasks": [
            {
                "name": "Tell",
                "ansible.builtin.debug": {
                    "msg": "{{ lookup('ansible.builtin.template', '"
                    + str(ROOT / "playbooks/templates" / ("failure" if failed else "roll"))
                    + ".txt.j2"
                    + "') | trim }}"
                },
            }
        ],
    }
    (place / "play.yml").write_text(yaml.safe_dump([play]))
    (place / "runner").mkdir()
    run = ansible_runner.run(
        private_data_dir=str(place / "runner"),
        playbook=str(place / "play.yml"),
        inventory=str(place / "hosts.yml"),
        envvars={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        quiet=True,
        timeout=120,
    )
    (said,) = [
        event["event_data"]["res"]["msg"]
        for event in run.events
        if event["event"] == "runner_on_ok" and event["event_data"]["task_action"].endswith("debug")
    ]
    return str(said).splitlines()


@pytest.mark.parametrize(
    ("frontends", "begin", "announced"),
    [
        (["c1"], 1000.3, True),
        # Long after the restart of the only frontend.
        (["c1"], 1100.0, False),
        # Another one should have served.
        (["c1", "c2"], 1000.3, False),
    ],
)
def test_an_outage_that_was_not_announced_is_named(
    tmp_path: Path, frontends: list[str], begin: float, announced: bool
) -> None:
    outage = [begin, begin + 2.5]
    lines = told(tmp_path, frontends, {"service": seen(outage), "frontends": {URL: seen()}})
    first = "40 asked, 3 failed (refused 2, 404 1), longest gap 2.5 s"
    assert f"seen from outside, as a load balancer asks: {first}" in lines
    assert f"  {URL}: 40 asked, 0 failed" in lines
    assert "c1 etcd restarted, out 2.5 s, c2 leads" in lines
    assert "c1 frontend restarted, out 3.0 s" in lines
    down = [line for line in lines if line.startswith("THE SERVICE WAS DOWN")]
    assert bool(down) is not announced
    assert all(line.endswith("for 2.5 s") and "1970-01-01T00:1" in line for line in down)
    assert "requests during the roll: 12, failed: 0 (by the frontends' own counters)" in lines


def test_a_probe_that_gave_no_answer_is_said(tmp_path: Path) -> None:
    assert "seen from outside: nothing, the probe gave no answer" in told(tmp_path, ["c1"], {})


def test_a_roll_that_failed_before_the_frontends_tells_what_was_seen(tmp_path: Path) -> None:
    outside = {"service": seen([1000.0, 1002.5]), "frontends": {URL: seen()}}
    lines = told(tmp_path, ["c1"], outside, {"msg": "did not start", "seconds": 12})
    assert lines[0] == "did not start"
    assert any(line.startswith("seen from outside, as a load balancer asks: 40") for line in lines)
    assert any(line.startswith("THE SERVICE WAS DOWN") for line in lines)
