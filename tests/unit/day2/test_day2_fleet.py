"""The arithmetic is of the whole fleet, whichever part of it is in a run."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dynfleet.day2 import plan
from ansible.module_utils.dynfleet.day2.fleet import Elsewhere
from day2_cases import MARK, host, worker

PORT = 9200
CHANGED = {"differs": True}


def limited(each: int, out: tuple[str, ...] = (), **more: Any) -> tuple[Any, Elsewhere]:
    """``--limit gpu05`` on gpu00 to gpu99 of so many workers each.

    out: HOST or HOST:N that are in no discovery. more: about the workers of gpu05.
    """
    hosts = {"gpu05": host(*(worker(n, **more) for n in range(each)))}
    away = {f"gpu{h:02}": f"10.0.0.{h}" for h in range(100) if h != 5}
    serving = [
        {"place": f"{address}:{PORT + n}", "routed": True}
        for name, address in away.items()
        for n in range(each)
        if name not in out and f"{name}:{n}" not in out
    ]
    return hosts, Elsewhere(hosts=away, workers=serving, first_port=PORT)


@pytest.mark.parametrize(("each", "floor"), [(1, 75), (8, 600)])
def test_one_host_of_a_hundred_is_no_outage(each: int, floor: int) -> None:
    hosts, elsewhere = limited(each, **CHANGED)
    made = plan.make(hosts, plan.Wish(max_out="25%"), elsewhere)
    assert (made.problems, made.notes) == ([], [])
    assert [turn["floor"] for turn in made.turns["gpu05"]] == [floor] * each


def test_what_is_out_elsewhere_counts() -> None:
    """800 workers of which 200 may be out; 25 hosts are gone, so that they are."""
    gone = tuple(f"gpu{h}" for h in range(10, 35))
    hosts, elsewhere = limited(8, gone, **CHANGED)
    made = plan.make(hosts, plan.Wish(max_out="25%"), elsewhere)
    (problem,) = made.problems
    assert "out are 200 on hosts that are not in this run (gpu10, gpu11" in problem
    assert "of 800 workers 200 may be (roll_max_out: 25%)" in problem
    assert made.notes[0] == (
        "gpu10 is not in this run and has no worker in discovery: it counts as 8, all out of "
        "service"
    )
    hosts, elsewhere = limited(8, gone[1:], **CHANGED)
    assert plan.make(hosts, plan.Wish(max_out="25%"), elsewhere).problems == []


def test_a_gap_in_the_ports_of_a_host_is_a_worker_that_is_out() -> None:
    hosts, elsewhere = limited(4, ("gpu07:0", "gpu07:2"), **CHANGED)
    made = plan.make(hosts, plan.Wish(max_out=2), elsewhere)
    assert made.notes == ["gpu07 is not in this run: 2 of its 4 workers are out"]
    assert "out are 2 on hosts that are not in this run (gpu07); of 400" in made.problems[0]
    assert plan.make(hosts, plan.Wish(max_out=3), elsewhere).problems == []


def test_what_the_frontends_do_not_have_does_not_serve() -> None:
    hosts = {"g0": host(worker(0, **CHANGED))}
    other = {"place": f"10.0.0.1:{PORT}", "routed": True}

    def problems(**more: Any) -> list[str]:
        elsewhere = Elsewhere({"g1": "10.0.0.1"}, [{**other, **more}], PORT)
        return plan.make(hosts, plan.Wish(max_out=2), elsewhere).problems

    assert problems() == []
    assert "1 workers are in service and up to 1 would be out" in problems(routed=False)[0]
    # One of another fleet is none of ours.
    assert "would be interrupted" in problems(place="10.9.9.9:9200")[0]


def test_after_a_crash_a_worker_is_in_discovery_twice() -> None:
    hosts = {"g0": host(worker(0, **CHANGED))}
    twice = [{"place": f"10.0.0.1:{PORT}", "routed": so} for so in (True, False)]
    made = plan.make(hosts, plan.Wish(), Elsewhere({"g1": "10.0.0.1"}, twice, PORT))
    assert (made.problems, made.notes) == ([], [])


def test_without_etcd_the_others_count_as_out() -> None:
    hosts, elsewhere = limited(1, **CHANGED)
    silent = Elsewhere(elsewhere.hosts, None, PORT)
    made = plan.make(hosts, plan.Wish(max_out="25%"), silent)
    assert len(made.problems) == 2
    assert "etcd does not answer" in made.notes[0]


def test_a_target_that_is_not_in_this_run_is_called_that() -> None:
    hosts, elsewhere = limited(2)
    made = plan.make(hosts, plan.Wish(named="gpu07:1,gpu200"), elsewhere)
    assert made.problems == [
        "not in this run (--limit): gpu07:1; no such host, worker or GPU: gpu200. Known are "
        "gpu05 (gpu05:0, gpu05:1)"
    ]


def test_drain_of_one_host_of_a_hundred_is_no_outage() -> None:
    hosts, elsewhere = limited(8)
    assert plan.drain(hosts, "gpu05", True, False, elsewhere).problems == []
    gone = tuple(name for name in elsewhere.hosts if name != "gpu99")
    hosts, elsewhere = limited(8, gone)
    assert plan.drain(hosts, "gpu05", True, False, elsewhere).problems == []
    hosts, elsewhere = limited(8, tuple(elsewhere.hosts))
    (problem,) = plan.drain(hosts, "gpu05", True, False, elsewhere).problems
    assert "all 8 workers that are in service" in problem
    hosts["gpu05"]["units"][0].update(drained=MARK, registered=False)
    (problem,) = plan.drain(hosts, "all", True, False, elsewhere).problems
    assert "all 7 workers that are in service" in problem
