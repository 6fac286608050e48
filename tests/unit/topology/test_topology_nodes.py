"""NUMA nodes of GPUs where `nvidia-smi topo -m` prints no single number for them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dynfleet.placement.plan import make_plan
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology import recorded
from ansible.module_utils.dynfleet.topology.topo_nodes import Affinity, place
from ansible.module_utils.dynfleet.topology.topo_text import parse
from topology_captures import matrix

LOW, HIGH = "0-23,48-71", "24-47,72-95"
GRACE = [("0-71", "0,2-17", 2), ("0-71", "0,2-17", 10)]
GRACE += [("72-143", "1,18-33", 18), ("72-143", "1,18-33", 26)]


@pytest.mark.parametrize(
    ("rows", "nodes"),
    [
        # No column of nodes, or N/A in it: nodes are numbered in the order of their CPUs.
        ([(LOW, None), (LOW, None), (HIGH, None), (HIGH, None)], [0, 0, 1, 1]),
        ([(HIGH, None), (LOW, None), (HIGH, None), (LOW, None)], [1, 0, 1, 0]),
        # The same CPUs for all may be the whole machine.
        ([(LOW, None), (LOW, None)], [None, None]),
        ([("0-143", "0-1"), ("0-143", "0-1")], [None, None]),
        # A list: the lowest node that is no GPU's memory.
        (GRACE, [0, 0, 1, 1]),
        ([("0-71", "1-2", 1), ("72-143", "3-4", 3)], [2, 4]),
        ([(LOW, "0-1"), (HIGH, "0-1")], [0, 1]),
        # Lists tell where CPUs do not.
        ([(None, "0,2-17"), (None, "1,18-33")], [0, 1]),
        ([("0-143", "0,2-17"), ("0-143", "1,18-33")], [0, 1]),
        # Some rows have a number: it goes for the others with the same CPUs.
        ([(LOW, "3"), (LOW, None), (HIGH, None)], [3, 3, 0]),
        ([(LOW, None), (HIGH, "0"), (HIGH, None)], [1, 0, 0]),
        ([(LOW, "0"), (LOW, "1"), (LOW, None), (HIGH, None)], [0, 1, None, 2]),
        # Overlapping sets: the smaller one tells, sets that only touch do not.
        ([("0-23", None), ("24-47", None), ("0-47", None)], [0, 1, None]),
        ([("0-31", None), ("16-47", None), ("48-63", None)], [None, None, 0]),
        # Nothing but unknown CPUs beside known ones.
        ([(LOW, None), (None, None), (HIGH, None)], [0, None, 1]),
        # A single number is taken as printed, whatever the CPUs are.
        ([("0-15", "0"), ("0-15", "1")], [0, 1]),
        # A set of CPUs and a list of nodes may have the same numbers.
        ([("0-1", None), ("2-3", None), (None, "0-1"), (None, "2-3")], [0, 1, 2, 3]),
    ],
)
def test_place(rows: list[tuple[Any, ...]], nodes: list[int | None]) -> None:
    assert place([Affinity(*row) for row in rows]) == nodes


def mesh(count: int) -> list[list[str]]:
    """All GPUs joined by a switch: links say nothing about sockets."""
    return [["X" if a == b else "NV6" for b in range(count)] for a in range(count)]


def capture(tails: list[str], columns: str) -> str:
    return matrix(mesh(len(tails)), [f"GPU{index}" for index in range(len(tails))], tails, columns)


ALL_COLUMNS = "\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID"


@pytest.mark.parametrize(
    "text",
    [
        capture([f"\t{LOW}", f"\t{HIGH}"] * 4, "\tCPU Affinity"),
        capture([f"\t{LOW}\tN/A", f"\t{HIGH}\tN/A"] * 4, "\tCPU Affinity\tNUMA Affinity"),
        capture([f"\t{LOW}\tN/A\t\tN/A", f"\t{HIGH}\tN/A\t\tN/A"] * 4, ALL_COLUMNS),
        capture([f"\t{LOW}\t\t\tN/A", f"\t{HIGH}\t\t\tN/A"] * 4, ALL_COLUMNS),
        capture(["\t0-71\t0,2-17\t\t2", "\t72-143\t1,18-33\t\t18"] * 4, ALL_COLUMNS),
    ],
    ids=["no-column", "not-available", "all-columns", "empty", "lists"],
)
@pytest.mark.parametrize("blanks", [False, True], ids=["tabs", "blanks"])
def test_no_pair_goes_across_sockets(text: str, blanks: bool) -> None:
    """GPUs of two sockets take turns, all links are equal: only the CPUs keep pairs apart."""
    topology = recorded.parse_text("capture", text.expandtabs() if blanks else text)
    plan = make_plan({**topology, "source": "capture"}, Wishes(), "gpu1")
    found = [[gpu["index"] % 2 for gpu in worker["gpus"]] for worker in plan["workers"]]
    assert sorted(found) == [[0, 0], [0, 0], [1, 1], [1, 1]]
    assert sorted(worker["numa_node"] for worker in plan["workers"]) == [0, 0, 1, 1]


def test_the_nodes_have_the_cpus_of_their_gpus() -> None:
    nodes = parse(capture([f"\t{LOW}", f"\t{HIGH}"], "\tCPU Affinity"))["numa_nodes"]
    assert [(node["node"], node["cpus"]) for node in nodes] == [(0, LOW), (1, HIGH)]
