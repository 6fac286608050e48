"""How good a grouping is: the objective, in its fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from ansible.module_utils.dynfleet.placement.graph import SHARE_UNIT, Graph

# Weakest link of a group of one GPU: it has no link that could be weak.
NO_LINK = 1 << 30


class Score(NamedTuple):
    """Compares as the objective does: the larger is the better grouping.

    weakest: points of the weakest link inside any group (NO_LINK for groups of one GPU).
    total: sum of the points of all links inside groups.
    crossing: minus the number of groups whose GPUs sit on more than one NUMA node.
    imbalance: minus the unevenness of NVMe, then of NIC shares, see `imbalance`.
    """

    weakest: int
    total: int
    crossing: int
    imbalance: tuple[int, ...]


def crosses(graph: Graph, group: Sequence[int]) -> bool:
    """Whether the group's GPUs are known to sit on more than one NUMA node."""
    return len({graph.numa[gpu] for gpu in group} - {None}) > 1


def weakest(graph: Graph, group: Sequence[int]) -> int:
    """Points of the weakest link inside the group."""
    return min((graph.points[a][b] for a, b in combinations(group, 2)), default=NO_LINK)


def total(graph: Graph, group: Sequence[int]) -> int:
    """Sum of the points of the links inside the group."""
    return sum(graph.points[a][b] for a, b in combinations(group, 2))


def imbalance(shares: Sequence[int], group: Sequence[int], count: int) -> int:
    """Squared distance of a group's share of devices from an even one, for `count` groups.

    Whole numbers, in (1 / (count * SHARE_UNIT)) devices squared, so that ties are exact.
    """
    return (count * sum(shares[gpu] for gpu in group) - sum(shares)) ** 2


def score(graph: Graph, groups: Sequence[Sequence[int]]) -> Score:
    """The objective's value of a grouping."""
    return Score(
        weakest=min((weakest(graph, group) for group in groups), default=NO_LINK),
        total=sum(total(graph, group) for group in groups),
        crossing=-sum(crosses(graph, group) for group in groups),
        imbalance=tuple(
            -sum(imbalance(shares, group, len(groups)) for group in groups)
            for shares in graph.shares
        ),
    )


def imbalance_devices(value: int, count: int) -> float:
    """An imbalance as a number for people: the root mean square deviation, in devices."""
    if not count:
        return 0.0
    return round(float((-value / count) ** 0.5 / (count * SHARE_UNIT)), 3)
