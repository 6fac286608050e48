"""etcd, NATS and frontends are not restarted at the cost of a quorum or of the last frontend."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dynfleet.day2 import plan, quorum
from ansible.module_utils.dynfleet.day2.fleet import Elsewhere

REFUSED = "http://c:1 says ConnectionRefusedError"


def members(group: str, *names: str, **more: Any) -> dict[str, Any]:
    unit = {"name": quorum.UNITS[group], "index": None, "differs": True, **more}
    return {name: {"groups": [group], "units": [unit], "pending": []} for name in names}


def asked(group: str, leader: str = "", **said: str) -> Elsewhere:
    leaders = {group: leader} if leader else {}
    return Elsewhere(workers=[], health={group: said}, leaders=leaders)


@pytest.mark.parametrize(
    ("group", "count", "needed"),
    [
        ("etcd", 1, 0),
        ("etcd", 2, 2),
        ("etcd", 3, 2),
        ("etcd", 5, 3),
        ("nats", 3, 2),
        ("frontends", 1, 0),
        ("frontends", 2, 1),
        ("frontends", 5, 1),
    ],
)
def test_others_that_have_to_serve(group: str, count: int, needed: int) -> None:
    assert quorum.others_needed(group, count) == needed


@pytest.mark.parametrize("group", ["etcd", "nats"])
def test_followers_first_the_leader_last(group: str) -> None:
    made = plan.make(
        members(group, "a", "b", "c"), plan.Wish(), asked(group, "a", a="", b="", c="")
    )
    assert (made.problems, made.singles[group], made.needed[group]) == ([], ["b", "c", "a"], 2)
    assert made.announced == []


@pytest.mark.parametrize("group", ["etcd", "nats"])
def test_a_member_that_is_left_out_and_down_costs_the_quorum(group: str) -> None:
    """``--limit a,b`` while c is down: with b restarted, one of three would be left."""
    said = asked(group, "a", a="", b="", c=REFUSED)
    made = plan.make(members(group, "a", "b"), plan.Wish(), said)
    (problem,) = made.problems
    assert f"{group}: while b restarts, 1 of 3 would be left, and 2 have to be (quorum" in problem
    assert f"Not healthy: c: {REFUSED}" in problem
    assert "roll_allow_outage: true" in problem
    allowed = plan.make(members(group, "a", "b"), plan.Wish(allow_outage=True), said)
    assert (allowed.problems, allowed.needed[group]) == ([], 0)


def test_a_member_that_is_down_and_in_the_run_is_started_first() -> None:
    said = asked("etcd", "a", a="", b="", c=REFUSED)
    made = plan.make(members("etcd", "a", "b", "c"), plan.Wish(), said)
    assert (made.problems, made.singles["etcd"]) == ([], ["c", "b", "a"])
    # And alone it takes nobody away, whoever else is down.
    said = asked("etcd", a="", b=REFUSED, c=REFUSED)
    assert plan.make(members("etcd", "c"), plan.Wish(), said).problems == []


def test_five_members_bear_one_that_is_down() -> None:
    names = ("a", "b", "c", "d", "e")
    up = dict.fromkeys(names, "")
    one = asked("etcd", **{**up, "e": REFUSED})
    assert plan.make(members("etcd", *names[:4]), plan.Wish(), one).problems == []
    two = asked("etcd", **{**up, "e": REFUSED, "d": REFUSED})
    assert (
        "2 of 5 would be left"
        in plan.make(members("etcd", *names[:3]), plan.Wish(), two).problems[0]
    )


def test_the_last_frontend_is_not_restarted() -> None:
    made = plan.make(members("frontends", "a"), plan.Wish(), asked("frontends", a="", b=REFUSED))
    assert (
        "frontends: while a restarts, 0 of 2 would be left, and 1 have to be" in (made.problems[0])
    )
    well = plan.make(members("frontends", "a"), plan.Wish(), asked("frontends", a="", b=""))
    assert (well.problems, well.announced) == ([], [])


def test_the_only_one_is_announced_and_not_refused() -> None:
    rolled = {"rolled": {"run": "r", "replaced": "x", "finished": "now", "seconds": {"out": 4.21}}}
    made = plan.make(
        members("frontends", "a", **rolled),
        plan.Wish(frontend_drain=120),
        asked("frontends", a=""),
    )
    assert made.problems == []
    (said,) = made.announced
    assert said.startswith("INTERRUPTION: a is the only frontend.")
    assert "4.2 s" in said
    assert "120 s" in said
    assert "refused connections, 503 and 404" in said
    for group in ("etcd", "nats"):
        alone = plan.make(members(group, "a"), plan.Wish(), asked(group, a=""))
        assert (alone.problems, len(alone.announced)) == ([], 1)


def test_what_is_not_restarted_is_not_announced() -> None:
    made = plan.make(
        members("frontends", "a", differs=False), plan.Wish(), asked("frontends", a="")
    )
    assert (made.announced, made.problems) == ([], [])
