"""The part of a host's topology that decides a grouping, as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

from ansible.module_utils.dynfleet.topology.links import SELF, points

MAX_GPUS = 16
# Any number of GPUs that may share a device divides this, so shares are whole numbers.
SHARE_UNIT = lcm(*range(1, MAX_GPUS + 1))


@dataclass(frozen=True)
class Graph:
    """GPUs that may be used, in index order. Positions, not indices, address them.

    points: n x n link points (see `topology.links`), 0 on the diagonal.
    numa: node of each GPU, None where the facts do not say.
    shares: for each of `kinds` the share of each GPU, in 1/SHARE_UNIT devices.
    """

    points: tuple[tuple[int, ...], ...]
    numa: tuple[int | None, ...]
    shares: tuple[tuple[int, ...], ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of GPUs."""
        return len(self.points)


def device_shares(distances: Sequence[Sequence[str]], keep: Sequence[int]) -> tuple[int, ...]:
    """Divide each device among the GPUs nearest to it.

    distances: one row a device, the link class to each GPU of the host, in the order of the
    facts; keep: rows of the GPUs that count. A device at one distance from all of them decides
    nothing between them and is spread evenly like any other.
    """
    shares = [0] * len(keep)
    for row in distances:
        near = [points(row[gpu]) for gpu in keep]
        best = [position for position, value in enumerate(near) if value == max(near)]
        for position in best:
            shares[position] += SHARE_UNIT // len(best)
    return tuple(shares)


def build(topology: dict[str, Any], keep: Sequence[int]) -> Graph:
    """The graph of the GPUs at the positions `keep` of `topology['gpus']`, in that order."""
    links = topology["links"]
    gpus = topology["gpus"]
    rows = {
        kind: [device["distance"] for device in topology.get(kind, []) if device.get("distance")]
        for kind in ("nvme", "network")
    }
    return Graph(
        points=tuple(
            tuple(0 if links[a][b] == SELF else points(links[a][b]) for b in keep) for a in keep
        ),
        numa=tuple(gpus[a].get("numa_node") for a in keep),
        shares=tuple(device_shares(found, keep) for found in rows.values() if found),
        kinds=tuple(kind for kind, found in rows.items() if found),
    )
