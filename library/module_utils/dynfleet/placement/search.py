"""The exact optimum of the objective in `score`, for up to 16 GPUs and any group size.

First the weakest link: thresholds are tried from the strongest link class down; only groups
without a weaker link exist under a threshold, and the first threshold under which enough
disjoint groups exist is the answer to the first part of the objective. The other parts add up
over groups, so they are folded into one whole number a group, and a dynamic programme over the
set of GPUs not yet placed finds the best sum. A bound (each GPU can at best bring its share of
the best group that holds it) cuts what cannot win; ties go to the lowest positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import NamedTuple, Optional

from ansible.module_utils.dynfleet.placement.graph import MAX_GPUS, Graph
from ansible.module_utils.dynfleet.placement.score import NO_LINK, crosses, imbalance, score

# Groups and their members in ascending order.
Partition = tuple[tuple[int, ...], ...]
Answer = Optional[tuple[int, Partition]]


class _Candidate(NamedTuple):
    """A possible group: its value, the set of its GPUs as bits, its GPUs."""

    value: int
    bits: int
    group: tuple[int, ...]


def best_partition(graph: Graph, size: int) -> Partition:
    """The best way to make as many groups of `size` as fit.

    Raises ValueError for a size below 1 or more than 16 GPUs.
    """
    for search in _searches(graph, size):
        best = search.run()
        if best is not None:
            return best
    return ()


def best_two(graph: Graph, size: int) -> tuple[Partition, Partition | None]:
    """The optimum, and the best grouping that is not it, or None where there is no other.

    A grouping that is not the optimum lacks at least one of its groups, so the second best is
    the best answer to banning each of them in turn, under the first threshold that has one.
    """
    optimum: Partition = ()
    for search in _searches(graph, size):
        best = search.run()
        if best is None:
            continue
        optimum = optimum or best
        others = sorted(filter(None, (search.without(group) for group in optimum)))
        if others:
            return optimum, max(others, key=lambda groups: score(graph, groups))
    return optimum, None


def _searches(graph: Graph, size: int) -> Iterator[_Search]:
    """One search for each threshold of the weakest link, the strongest first."""
    if size < 1:
        raise ValueError(f"a group needs at least 1 GPU, not {size}")
    if graph.size > MAX_GPUS:
        raise ValueError(
            f"{graph.size} GPUs: the exact search goes up to {MAX_GPUS}; leave GPUs out"
            " (placement_exclude)"
        )
    count = graph.size // size
    rows = enumerate(graph.points)
    links = {row[other] for gpu, row in rows for other in range(gpu)} if size > 1 else {NO_LINK}
    for threshold in sorted(links, reverse=True) if count else ():
        candidates = _candidates(graph, size, count, threshold)
        if len(candidates) >= count:
            yield _Search(graph.size, size, candidates)


def _candidates(graph: Graph, size: int, count: int, threshold: int) -> list[_Candidate]:
    """Every group without a link below the threshold, valued; all values are at least 0."""
    found: list[tuple[tuple[int, ...], int]] = []

    def grow(group: tuple[int, ...], allowed: list[int], points: int) -> None:
        missing = size - len(group)
        if not missing:
            found.append((group, points))
        for place in range(len(allowed) - missing + 1 if missing else 0):
            gpu = allowed[place]
            row = graph.points[gpu]
            grow(
                (*group, gpu),
                [other for other in allowed[place + 1 :] if row[other] >= threshold],
                points + sum([row[other] for other in group]),
            )

    grow((), list(range(graph.size)), 0)
    # One weight a part of the objective, each larger than all of the next part together.
    spread = [[imbalance(kind, group, count) for group, _ in found] for kind in graph.shares]
    values = [0] * len(found)
    unit = 1
    for kind in reversed(spread):
        worst = max(kind, default=0)
        values = [value + unit * (worst - one) for value, one in zip(values, kind)]
        unit *= count * worst + 1
    values = [
        value + unit * ((not crosses(graph, group)) + (count + 1) * points)
        for value, (group, points) in zip(values, found)
    ]
    # Times `size`, so that a GPU's part of a group is a whole number.
    return [
        _Candidate(value * size, sum([1 << gpu for gpu in group]), group)
        for value, (group, _) in zip(values, found)
    ]


class _Search:
    """Choose disjoint candidates that use all GPUs but n % size, with the largest sum."""

    def __init__(self, gpus: int, size: int, candidates: list[_Candidate]) -> None:
        self.gpus, self.size = gpus, size
        # The most valuable first, then the lowest positions; also by lowest GPU and by set.
        self.ranked = sorted(candidates, key=lambda c: (-c.value, c.group))
        self.by_lowest: list[list[_Candidate]] = [[] for _ in range(gpus)]
        for candidate in self.ranked:
            self.by_lowest[candidate.group[0]].append(candidate)
        self.by_bits = {candidate.bits: candidate for candidate in candidates}
        # The most that one GPU can bring: its part of the best group that holds it.
        self.reach = [0] * gpus
        for candidate in candidates:
            for gpu in candidate.group:
                self.reach[gpu] = max(self.reach[gpu], candidate.value // size)
        self.banned = 0
        self.known: dict[int, Answer] = {}

    def run(self) -> Partition | None:
        """The groups of the best choice, or None where candidates do not suffice."""
        answer = self._best((1 << self.gpus) - 1, self.gpus)
        return answer[1] if answer else None

    def without(self, group: tuple[int, ...]) -> Partition | None:
        """The best choice without one group; run() must have been called.

        Answers for sets of GPUs that do not hold the whole group stay as they are.
        """
        before = self.known
        self.banned = sum(1 << gpu for gpu in group)
        self.known = {
            free: answer for free, answer in before.items() if free & self.banned != self.banned
        }
        best = self.run()
        self.banned, self.known = 0, before
        return best

    def _best(self, free: int, left: int) -> Answer:
        """The best (value, groups) over the set of free GPUs, `left` in number."""
        if free not in self.known:
            last = left < 2 * self.size
            self.known[free] = self._last(free, left) if last else self._next(free, left)
        return self.known[free]

    def _last(self, free: int, left: int) -> Answer:
        """The best single group among the free GPUs."""
        ways = comb(left, self.size)
        if ways * ways > len(self.ranked):  # a fit is found soon in the ranked list
            for value, bits, group in self.ranked:
                if bits & free == bits and bits != self.banned:
                    return value, (group,)
            return None
        best: _Candidate | None = None
        single = [1 << gpu for gpu in range(self.gpus) if free >> gpu & 1]
        for chosen in combinations(single, self.size):
            candidate = self.by_bits.get(sum(chosen))
            if candidate is None or candidate.bits == self.banned:
                continue
            if best is None or candidate.value > best.value:
                best = candidate
        return None if best is None else (best.value, (best.group,))

    def _next(self, free: int, left: int) -> Answer:
        """The best groups where the lowest free GPU is grouped, or left over where one may be."""
        low = free & -free
        reach, leave = self.reach, left % self.size
        others = [reach[gpu] for gpu in range(self.gpus) if (free ^ low) >> gpu & 1]
        # Whatever is left over in the end, it brings nothing instead of at least the minimum.
        least = min(others)
        ceiling = sum(others) - leave * least
        best: Answer = None
        for value, bits, group in self.by_lowest[low.bit_length() - 1]:
            if bits & free != bits or bits == self.banned:
                continue
            if best is not None:
                bound = value + ceiling - sum([reach[gpu] for gpu in group[1:]])
                if bound < best[0] or (bound == best[0] and group > best[1][0]):
                    continue
            rest = self._best(free ^ bits, left - self.size)
            if rest is None:
                continue
            found = (value + rest[0], (group, *rest[1]))
            if best is None or found[0] > best[0] or (found[0] == best[0] and found[1] < best[1]):
                best = found
        if leave and (best is None or ceiling + least > best[0]):
            without = self._best(free ^ low, left - 1)
            if without is not None and (best is None or without[0] > best[0]):
                best = without
        return best
