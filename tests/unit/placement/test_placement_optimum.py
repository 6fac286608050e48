"""The search finds the optimum: compared with every grouping there is."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from ansible.module_utils.dynfleet.placement.graph import SHARE_UNIT, Graph
from ansible.module_utils.dynfleet.placement.plan import make_plan
from ansible.module_utils.dynfleet.placement.score import score
from ansible.module_utils.dynfleet.placement.search import best_partition, best_two
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology import recorded
from ansible.module_utils.dynfleet.topology.links import points
from hypothesis import given, settings
from hypothesis import strategies as st
from placement_cases import IDS, MACHINES, graph_of, machine_graph, objective, ranked

CLASSES = ["SYS", "NODE", "PHB", "PXB", "PIX", "NV1", "NV2", "NV4", "NV12", "NV18", "NONE"]


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("machine", MACHINES, ids=IDS)
def test_optimum_and_runner_up_of_every_real_machine(machine: dict[str, Any], size: int) -> None:
    graph = machine_graph(machine)
    best = best_partition(graph, size)
    if graph.size < size:
        assert best == ()
        return
    order = ranked(graph, size)
    assert best == order[0]
    assert best_two(graph, size)[1] == (order[1] if len(order) > 1 else None)


# machines.jsonl says whether pairs by index reach the best score, by a score of its own: the
# weakest link and the sum of the links. Ours agrees on every machine that says it.
@pytest.mark.parametrize("machine", MACHINES, ids=IDS)
def test_index_pairs_against_the_recorded_verdict(machine: dict[str, Any]) -> None:
    if machine.get("naive_is_optimal") is None:
        pytest.skip("no verdict is recorded")
    graph = machine_graph(machine)
    best = best_partition(graph, 2)
    naive = [(at, at + 1) for at in range(0, graph.size - 1, 2)]
    same = objective(graph, naive)[:2] == objective(graph, best)[:2]
    assert same == machine["naive_is_optimal"]


def test_strongest_link_first_would_be_worse() -> None:
    """A chain 0 -NV1- 1 -NV2- 2 -NV1- 3: taking NV2 first leaves 0 and 3 on SYS."""
    links = [
        ["X", "NV1", "SYS", "SYS"],
        ["NV1", "X", "NV2", "SYS"],
        ["SYS", "NV2", "X", "NV1"],
        ["SYS", "SYS", "NV1", "X"],
    ]
    assert best_partition(graph_of(links, [0] * 4), 2) == ((0, 1), (2, 3))


def test_weakest_link_goes_before_the_sum() -> None:
    """{NV4, SYS} has the larger sum, {PIX, PIX} the better weakest link."""
    links = [
        ["X", "NV4", "PIX", "SYS"],
        ["NV4", "X", "SYS", "PIX"],
        ["PIX", "SYS", "X", "SYS"],
        ["SYS", "PIX", "SYS", "X"],
    ]
    assert best_partition(graph_of(links, [0] * 4), 2) == ((0, 2), (1, 3))


def mesh(count: int, **more: Any) -> Graph:
    rows = tuple(tuple(0 if a == b else 1800 for b in range(count)) for a in range(count))
    return Graph(rows, **{"numa": (0,) * count, **more})


def test_numa_nodes_decide_on_a_full_mesh() -> None:
    assert best_partition(mesh(4, numa=(0, 1, 1, 0)), 2) == ((0, 3), (1, 2))


def test_devices_are_shared_evenly_before_low_indices() -> None:
    """GPUs 0 and 1 each have a NIC of their own, 2 and 3 have none."""
    shares = ((SHARE_UNIT, SHARE_UNIT, 0, 0),)
    assert best_partition(mesh(4, shares=shares, kinds=("network",)), 2) == ((0, 2), (1, 3))


def test_left_over_is_the_gpu_whose_absence_is_best() -> None:
    """Machine 016: GPU 0 hangs behind the other socket, so it is the one left over."""
    machine = MACHINES[IDS.index("016-club3090-5gpu-5090-4090-mix")]
    assert best_partition(machine_graph(machine), 2) == ((1, 2), (3, 4))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_other_group_sizes(size: int) -> None:
    links = MACHINES[IDS.index("009-v100-8gpu-cube-sxm2-32g-nic0")]
    graph = machine_graph(links)
    assert best_partition(graph, size) == ranked(graph, size)[0]


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="at least 1 GPU, not 0"):
        best_partition(mesh(2), 0)
    with pytest.raises(ValueError, match=r"17 GPUs: the exact search goes up to 16"):
        best_partition(mesh(17), 2)


@st.composite
def graphs(draw: st.DrawFn, largest: int) -> Graph:
    """Random hosts; few classes in one host, so that ties are common."""
    count = draw(st.integers(1, largest))
    classes = draw(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=4))
    cells = draw(st.lists(st.sampled_from(classes), min_size=count**2, max_size=count**2))
    rows = [[0] * count for _ in range(count)]
    for a in range(count):
        for b in range(a):
            rows[a][b] = rows[b][a] = points(cells[a * count + b])
    numa = draw(st.lists(st.sampled_from([0, 1, None]), min_size=count, max_size=count))
    kinds = draw(st.integers(0, 2))
    share = st.lists(
        st.sampled_from([0, SHARE_UNIT // 2, SHARE_UNIT]), min_size=count, max_size=count
    )
    shares = tuple(tuple(draw(share)) for _ in range(kinds))
    return Graph(tuple(map(tuple, rows)), tuple(numa), shares, ("nvme", "network")[:kinds])


@settings(max_examples=150, deadline=None)
@given(graph=graphs(7), size=st.integers(1, 7))
def test_optimum_and_runner_up_of_random_hosts(graph: Graph, size: int) -> None:
    best = best_partition(graph, size)
    if graph.size < size:
        assert best == ()
        return
    order = ranked(graph, size)
    assert best == order[0]
    assert best_two(graph, size)[1] == (order[1] if len(order) > 1 else None)


@settings(max_examples=60, deadline=None)
@given(graph=graphs(12), size=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_score_does_not_depend_on_the_numbering(graph: Graph, size: int, seed: int) -> None:
    order = list(range(graph.size))
    random.Random(seed).shuffle(order)  # noqa: S311
    other = Graph(
        tuple(tuple(graph.points[a][b] for b in order) for a in order),
        tuple(graph.numa[a] for a in order),
        tuple(tuple(shares[a] for a in order) for shares in graph.shares),
        graph.kinds,
    )
    best, again = best_partition(graph, size), best_partition(other, size)
    assert score(graph, best) == score(other, again)


@settings(max_examples=60, deadline=None)
@given(machine=st.sampled_from(MACHINES), size=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_equal_gpus_may_change_their_places(machine: dict[str, Any], size: int, seed: int) -> None:
    """Other UUIDs under the same indices, and facts in another order, give the same groups."""
    facts = recorded.parse_text("m", json.dumps(machine))
    order = list(range(machine["gpus"]))
    random.Random(seed).shuffle(order)  # noqa: S311
    other = {
        **facts,
        "gpus": [{**facts["gpus"][at], "uuid": f"GPU-{n}"} for n, at in enumerate(order)],
        "links": [[facts["links"][a][b] for b in order] for a in order],
    }
    if machine["gpus"] >= size:
        plans = [make_plan(found, Wishes(group_size=size), "m") for found in (facts, other)]
        first, second = ([w["gpus"] for w in plan["workers"]] for plan in plans)
        assert [[g["index"] for g in gpus] for gpus in first] == [
            [g["index"] for g in gpus] for gpus in second
        ]
        assert plans[0]["runner_up"] == plans[1]["runner_up"]


@settings(max_examples=60, deadline=None)
@given(graph=graphs(12), size=st.integers(1, 6))
def test_every_group_is_whole_and_no_gpu_is_used_twice(graph: Graph, size: int) -> None:
    best = best_partition(graph, size)
    used = [gpu for group in best for gpu in group]
    assert len(best) == graph.size // size
    assert all(len(group) == size for group in best)
    assert len(set(used)) == len(used)
