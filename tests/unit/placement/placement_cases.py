"""Graphs for the tests, and the objective once more, by enumeration and with fractions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.placement.graph import SHARE_UNIT, Graph
from ansible.module_utils.dynfleet.topology.links import SELF, canonical, points

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "topology"
LAB = Path(__file__).resolve().parents[3] / "inventory" / "lab" / "topologies"
MACHINES: list[dict[str, Any]] = [
    json.loads(line) for line in (FIXTURES / "machines.jsonl").read_text().splitlines()
]
IDS = [machine["id"] for machine in MACHINES]


def graph_of(links: Sequence[Sequence[str]], numa: Sequence[int | None]) -> Graph:
    """A graph without devices."""
    return Graph(
        tuple(
            tuple(0 if cell == SELF else points(canonical(cell) or cell) for cell in row)
            for row in links
        ),
        tuple(numa),
    )


def machine_graph(machine: dict[str, Any]) -> Graph:
    return graph_of(machine["links"], machine["numa"] or [None] * machine["gpus"])


def partitions(gpus: tuple[int, ...], size: int, leave: int) -> Iterator[tuple[Any, ...]]:
    """Every way to make groups of `size`, leaving `leave` GPUs out."""
    if len(gpus) - leave < size:
        yield ()
        return
    for rest in combinations(gpus[1:], size - 1):
        others = tuple(gpu for gpu in gpus[1:] if gpu not in rest)
        for more in partitions(others, size, leave):
            yield ((gpus[0], *rest), *more)
    if leave:
        yield from partitions(gpus[1:], size, leave - 1)


def objective(graph: Graph, groups: Sequence[Sequence[int]]) -> tuple[Any, ...]:
    """The larger is the better, in the order that the issue gives; without the tie-break."""
    inside = [[graph.points[a][b] for a, b in combinations(group, 2)] for group in groups]
    spread = []
    for shares in graph.shares:
        even = Fraction(sum(shares), SHARE_UNIT * len(groups))
        spread.append(
            -sum(
                (Fraction(sum(shares[gpu] for gpu in group), SHARE_UNIT) - even) ** 2
                for group in groups
            )
        )
    crossing = [len({graph.numa[gpu] for gpu in group} - {None}) > 1 for group in groups]
    return (
        min((min(links) for links in inside if links), default=0),
        sum(sum(links) for links in inside),
        -sum(crossing),
        *spread,
    )


def ranked(graph: Graph, size: int) -> list[tuple[Any, ...]]:
    """All groupings, the best first; ties by the lowest positions."""
    found = set(partitions(tuple(range(graph.size)), size, graph.size % size))
    return sorted(sorted(found), key=lambda groups: objective(graph, groups), reverse=True)
