"""One way to group a host's GPUs: its score, its words and how it compares with another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from ansible.module_utils.dynfleet.placement.graph import Graph
from ansible.module_utils.dynfleet.placement.score import (
    Score,
    crosses,
    imbalance_devices,
    score,
)
from ansible.module_utils.dynfleet.topology.links import SELF, nvlinks, points

Groups = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Usable:
    """The GPUs that may be used. `keep` are their positions in the facts, in index order."""

    topology: dict[str, Any]
    keep: tuple[int, ...]
    graph: Graph

    def gpu(self, position: int) -> dict[str, Any]:
        """The facts of the GPU at a position of the graph."""
        found: dict[str, Any] = self.topology["gpus"][self.keep[position]]
        return found

    def link(self, one: int, other: int) -> str:
        """The link class between two positions of the graph."""
        return str(self.topology["links"][self.keep[one]][self.keep[other]])

    def weakest(self, group: Sequence[int]) -> str:
        """The class of the weakest link inside a group, `X` for a single GPU."""
        links = [self.link(a, b) for a, b in combinations(group, 2)]
        return min(links, key=points, default=SELF)


@dataclass(frozen=True)
class Grouping:
    """Groups of positions of the graph, each ascending."""

    usable: Usable
    groups: tuple[tuple[int, ...], ...]

    @cached_property
    def score(self) -> Score:
        """The value of the objective."""
        return score(self.usable.graph, self.groups)

    @cached_property
    def links(self) -> list[str]:
        """The weakest link class of each group."""
        return [self.usable.weakest(group) for group in self.groups]

    @property
    def weakest_link(self) -> str:
        """The weakest link class of all groups."""
        return min(
            self.links, key=lambda link: 1 << 30 if link == SELF else points(link), default=SELF
        )

    def indices(self) -> list[list[int]]:
        """The groups as GPU indices."""
        return [[int(self.usable.gpu(at)["index"]) for at in group] for group in self.groups]

    def unclean(self) -> list[list[int]]:
        """Groups (as GPU indices) that neither sit on one NUMA node nor are all on NVLink."""
        return [
            names
            for names, group, link in zip(self.indices(), self.groups, self.links)
            if link != SELF
            and not nvlinks(link)
            and (points(link) <= points("SYS") or crosses(self.usable.graph, group))
        ]

    def readable(self) -> dict[str, Any]:
        """The score as JSON: link class by name, counts, deviations in devices."""
        return {
            "weakest_link": self.weakest_link,
            "link_points": self.score.total,
            "groups_across_numa_nodes": -self.score.crossing,
            "imbalance_devices": {
                kind: imbalance_devices(value, len(self.groups))
                for kind, value in zip(self.usable.graph.kinds, self.score.imbalance)
            },
        }

    def compared(self, other: Grouping) -> dict[str, Any]:
        """This grouping as JSON, with its cost against `other` in words."""
        return {
            "groups": self.indices(),
            "links": self.links,
            "score": self.readable(),
            "same_groups": self.groups == other.groups,
            "cost": self.cost(other),
        }

    def cost(self, best: Grouping) -> str:
        """In what this grouping is worse than `best`, in the order of the objective."""
        mine, its = self.readable(), best.readable()
        told = []
        if self.score.weakest < best.score.weakest:
            told.append(f"weakest link {mine['weakest_link']} instead of {its['weakest_link']}")
        if self.score.total < best.score.total:
            told.append(f"{mine['link_points']} link points instead of {its['link_points']}")
        if self.score.crossing < best.score.crossing:
            ours, theirs = -self.score.crossing, -best.score.crossing
            told.append(f"{ours} groups across NUMA nodes instead of {theirs}")
        for kind, one, other in zip(
            self.usable.graph.kinds, self.score.imbalance, best.score.imbalance
        ):
            if one < other:
                ours, theirs = (grouped["imbalance_devices"][kind] for grouped in (mine, its))
                told.append(f"{kind} shares uneven by {ours:g} devices instead of {theirs:g}")
        return "; ".join(told) or "none, the score is the same"
