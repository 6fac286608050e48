"""What is restarted, in which order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dynfleet.day2 import plan, targets
from day2_cases import DOWN, MARK, fleet, host, worker


def order(made: plan.Plan) -> dict[str, list[list[int]]]:
    return {name: [turn["workers"] for turn in turns] for name, turns in made.turns.items()}


@pytest.mark.parametrize(
    ("wish", "hosts", "sizes"),
    [
        ([1], 3, [1, 1, 1]),
        ([1, "25%"], 10, [1, 2, 2, 2, 2, 1]),
        (["50%"], 5, [2, 2, 1]),
        (["1", "2"], 4, [1, 2, 1]),
        ([5], 3, [3]),
        ([1], 0, []),
    ],
)
def test_batches_are_ansibles(wish: list[Any], hosts: int, sizes: list[int]) -> None:
    assert plan.batches(wish, hosts) == sizes


@pytest.mark.parametrize("value", ["", "-1", "many", "10 %", "%"])
def test_a_batch_is_a_number_or_a_percentage(value: str) -> None:
    with pytest.raises(ValueError, match="neither a whole number nor a percentage"):
        plan.share(value, 10)


def test_nothing_differs_nothing_is_done() -> None:
    made = plan.make(fleet(), plan.Wish())
    assert (made.turns, made.problems, made.serial) == ({}, [], [])


def test_what_differs_and_what_a_task_noted_is_restarted() -> None:
    hosts = fleet(g0_2={"differs": True})
    hosts["g2"]["pending"] = ["dynamo-worker@1.service"]
    made = plan.make(hosts, plan.Wish(max_out="25%"))
    assert order(made) == {"g0": [[2]], "g2": [[1]]}
    assert made.problems == []
    # 12 workers, of which 3 may be out.
    assert made.turns["g0"][0]["floor"] == 9


def test_what_is_out_of_service_comes_first() -> None:
    hosts = fleet(
        g0_0={"differs": True},
        g1_3={"differs": True, "active": False, "ready": False, "state": "failed (failed)"},
        g1_0={"differs": True},
    )
    made = plan.make(hosts, plan.Wish(max_out=2))
    assert list(made.turns) == ["g1", "g0"]
    assert order(made)["g1"] == [[3], [0]]
    assert made.turns["g1"][0]["why"] == "is failed (failed)"


def test_a_turn_in_which_nobody_serves_takes_nobody_out() -> None:
    """Five of twelve are down, three may be: they are started, three hosts at a time."""
    down = dict.fromkeys(("g0_0", "g0_1", "g1_0", "g1_1", "g2_0"), DOWN)
    made = plan.make(fleet(**down), plan.Wish(batch=[3], max_out=2))
    assert made.problems == []
    assert (made.serial, order(made)) == ([3], {"g0": [[0], [1]], "g1": [[0], [1]], "g2": [[0]]})
    nobody = {f"g{h}_{n}": DOWN for h in range(3) for n in range(4)}
    assert plan.make(fleet(**nobody), plan.Wish(batch=[3], max_out=1)).problems == []


def test_only_hosts_that_take_a_worker_out_count_in_a_batch() -> None:
    down = dict.fromkeys(("g0_0", "g1_0"), DOWN)
    two = {**down, "g2_1": {"differs": True}}
    assert plan.make(fleet(**two), plan.Wish(batch=[3], max_out=1)).problems == []
    three = {**two, "g0_1": {"differs": True}}
    (problem,) = plan.make(fleet(**three), plan.Wish(batch=[3], max_out=1)).problems
    assert "2 hosts at a time" in problem
    assert "of 12 workers 1 may be (roll_max_out: 1)" in problem


def test_named_are_restarted_and_only_these() -> None:
    made = plan.make(fleet(g0_0={"differs": True}), plan.Wish(named="g1:2, g2:gpu7", max_out=2))
    assert order(made) == {"g1": [[2]], "g2": [[3]]}
    assert made.turns["g1"][0]["force"] is True


def test_drained_stays_drained_even_when_all_are_forced() -> None:
    made = plan.make(fleet(1, g0_1={"drained": MARK}), plan.Wish(force=True, max_out=2))
    assert order(made) == {"g0": [[0], [2], [3]]}
    assert made.notes == [
        "g0:1 stays drained by anna@c1 since 2026-01-05T10:00:00Z: fan",
    ]


def test_what_a_dead_roll_left_is_finished() -> None:
    hosts = fleet(
        g0_1={"cordoned": {**MARK, "by": "roll"}, "registered": False},
        g1_2={"rolled": {"run": "r1", "replaced": "x", "finished": None}},
        g2_0={"cordoned": MARK, "drained": MARK, "registered": False},
    )
    made = plan.make(hosts, plan.Wish(max_out=2))
    assert order(made) == {"g0": [[1]], "g1": [[2]]}
    assert not any(turn["force"] for turns in made.turns.values() for turn in turns)
    assert made.problems == []


def test_gpus_that_change_hands_go_down_together() -> None:
    pair = {"held": ["GPU-0", "GPU-1"], "wanted": ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]}
    hosts = fleet(2, g0_0={"differs": True, **pair}, g0_1={"differs": True})
    made = plan.make(hosts, plan.Wish(max_out=1, batch=[2]))
    assert order(made) == {"g0": [[0, 1]]}
    assert (made.serial, made.turns["g0"][0]["floor"]) == ([1], 1)


def test_of_workers_that_go_down_together_those_that_serve_are_the_outage() -> None:
    """Two hosts of two workers on four GPUs each, to be four on two: the others wait for GPUs."""
    waits = {"active": False, "ready": False, "registered": False, "differs": True, "held": []}
    changed: dict[str, dict[str, Any]] = {}
    for name in ("g0", "g1"):
        for index in (0, 1):
            held = [f"GPU-{4 * index + n}" for n in range(4)]
            changed[f"{name}_{index}"] = {"differs": True, "held": held}
        changed |= {f"{name}_2": waits, f"{name}_3": waits}
    made = plan.make(fleet(2, **changed), plan.Wish())
    assert made.problems == []
    assert order(made) == {"g0": [[0, 1, 2, 3]], "g1": [[0, 1, 2, 3]]}


REFUSED = [
    ({"g0_0": {"differs": True}, "g1_1": {"ready": False}}, {}, "roll_allow_degraded", "g1:1"),
    ({}, {"named": "g9"}, "", "no such host, worker or GPU: g9. Known are g0 (g0:0, g0:1"),
    ({}, {"named": "g0:7"}, "", "no such host, worker or GPU: g0:7"),
    ({}, {"force": True, "batch": [3], "max_out": 2}, "roll_max_out", "3 hosts at a time"),
    (
        {"g0_0": {"drained": MARK}, "g0_1": {"drained": MARK}},
        {"force": True, "max_out": 2},
        "roll_max_out",
        "drained are g0:0, g0:1",
    ),
    (
        {"g0_0": {"drained": MARK}, "g0_1": {"differs": True, "wanted": ["GPU-0"]}},
        {"max_out": 2},
        "",
        "g0:0 is drained and still holds GPUs",
    ),
]


@pytest.mark.parametrize(("changed", "wish", "override", "said"), REFUSED)
def test_refused(changed: dict[str, Any], wish: dict[str, Any], override: str, said: str) -> None:
    made = plan.make(fleet(**changed), plan.Wish(**wish))
    assert len(made.problems) == 1, made.problems
    assert said in made.problems[0]
    assert override in made.problems[0]


def test_a_service_of_one_worker_is_not_interrupted_unasked() -> None:
    one = {"g0": host(worker(0, differs=True))}
    assert "roll_allow_outage" in plan.make(one, plan.Wish()).problems[0]
    allowed = plan.make(one, plan.Wish(allow_outage=True))
    assert (allowed.problems, allowed.turns["g0"][0]["floor"]) == ([], 0)


def test_a_degraded_fleet_may_be_rolled_by_consent() -> None:
    hosts = fleet(g0_0={"differs": True}, g1_1={"ready": False})
    assert plan.make(hosts, plan.Wish(allow_degraded=True)).problems == []


def test_a_hung_worker_may_be_named() -> None:
    hosts = fleet(g1_1={"ready": False})
    made = plan.make(hosts, plan.Wish(named="g1:1"))
    assert (made.problems, order(made)) == ([], {"g1": [[1]]})


def test_singles_of_every_group() -> None:
    etcd = {"name": "dynamo-etcd.service", "index": None, "differs": True}
    front = {"name": "dynamo-frontend.service", "index": None, "differs": False}
    hosts = {
        **fleet(1),
        "c": {"groups": ["etcd", "frontends"], "units": [etcd, front], "pending": []},
    }
    assert plan.make(hosts, plan.Wish()).singles == {"etcd": ["c"], "nats": [], "frontends": []}
    forced = plan.make(hosts, plan.Wish(force=True)).singles
    assert forced == {"etcd": ["c"], "nats": [], "frontends": ["c"]}
    assert not any(plan.make(hosts, plan.Wish(named="g0")).singles.values())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("g1", {"g1": [0, 1, 2, 3]}),
        ("g1:3", {"g1": [3]}),
        ("g1:gpu5", {"g1": [2]}),
        ("gpu-6", {"g0": [3], "g1": [3]}),
        ("all", {"g0": [0, 1, 2, 3], "g1": [0, 1, 2, 3]}),
        ("g0:0,g1:0, g0:1", {"g0": [0, 1], "g1": [0]}),
    ],
)
def test_targets(text: str, found: dict[str, list[int]]) -> None:
    rows = plan.worker_rows(fleet(2))
    assert targets.resolve(text, rows) == (found, [])


@pytest.mark.parametrize("text", ["", "g9", "g0:x"])
def test_drain_without_a_known_target_is_refused(text: str) -> None:
    assert "Known are g0" in plan.drain(fleet(1), text, True, False).problems[0]


def test_drain_of_all_is_an_outage() -> None:
    assert "roll_allow_outage" in plan.drain(fleet(1), "all", True, False).problems[0]
    assert plan.drain(fleet(1), "all", True, True).problems == []
    assert plan.drain(fleet(1), "all", False, False).problems == []
