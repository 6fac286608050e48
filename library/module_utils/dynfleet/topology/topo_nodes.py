"""NUMA nodes of GPUs whose row in `nvidia-smi topo -m` does not give a single one.

`NUMA Affinity` is `N/A` or missing in many captures, and a list such as `0,2-17` on Grace, where
each GPU's memory is a set of nodes too. `CPU Affinity` still separates the sockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

from ansible.module_utils.dynfleet.topology import cpulist

Numbers = Optional[frozenset[int]]


class Affinity(NamedTuple):
    """What a row says behind its cells, as lists (`0-23,48-71`); None for what it does not say.

    whole: there is a readable value for each of the columns.
    """

    cpus: str | None = None
    numa: str | None = None
    gpu_memory: int | None = None
    whole: bool = False


def place(rows: Sequence[Affinity]) -> list[int | None]:
    """The NUMA node of each GPU, None where the rows do not tell it.

    A single number is taken as printed. Otherwise the GPUs with the same CPUs share a node, if
    other GPUs have other CPUs: a set that is equal for all may be the whole machine, and sets that
    overlap say nothing (of two where one holds the other, the smaller one does). Where CPUs do
    not tell, lists of nodes do by the same rule. The number is the lowest of the list that is
    not GPU memory; without a list nodes are numbered from 0 in the order of their CPUs.
    """
    lists = [_numbers(one.numa) for one in rows]
    nodes: list[int | None] = [min(found) if found and len(found) == 1 else None for found in lists]
    if None not in nodes:
        return nodes
    by_cpus, by_list = _telling(_numbers(one.cpus) for one in rows), _telling(lists)
    # CPUs and nodes are numbers of two kinds: a set of the one never equals one of the other.
    keys = [
        (0, tuple(sorted(cpus))) if cpus else (1, tuple(sorted(found or ())))
        for cpus, found in zip(by_cpus, by_list)
    ]
    gpu_memory = {one.gpu_memory for one in rows}
    taken = {node for node in nodes if node is not None}
    for key in sorted({key for key in keys if key[1]}):
        members = [at for at, other in enumerate(keys) if other == key]
        said = {node for node in (nodes[at] for at in members) if node is not None}
        if len(said) > 1:
            continue
        if not said:
            listed = {node for at in members for node in lists[at] or ()}
            unused = set(range(len(taken) + 1)) - taken
            said = {min(listed - gpu_memory - taken or unused)}
            taken |= said
        node = said.pop()
        for at in members:
            nodes[at] = node
    return nodes


def _numbers(text: str | None) -> Numbers:
    return frozenset(cpulist.parse(text)) if text else None


def _telling(sets: Iterable[Numbers]) -> list[Numbers]:
    """The sets that separate some GPUs from others, None in place of each that does not."""
    found = list(sets)
    distinct = {one for one in found if one}
    if len(distinct) < 2:
        return [None] * len(found)
    return [
        one if one and all(one <= other or not one & other for other in distinct) else None
        for one in found
    ]
