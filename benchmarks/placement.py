#!/usr/bin/env python3
"""Time limits of the placement search, on one core.

    python3 benchmarks/placement.py

Limits: 8 GPUs in pairs 20 ms; 16 GPUs, any group size, 1 s; each for the optimum together with
the runner-up, in processor time, so that a busy machine does not count. Prints one line a case
with the slowest of its hosts, and exits 1 where a limit is broken. The hosts are random, from
fixed seeds: kinds of link that make ties (all alike, two kinds), kinds that make none, NUMA nodes
and device shares drawn at random.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import ansible.module_utils

sys.dont_write_bytecode = True
ansible.module_utils.__path__.append(
    str(Path(__file__).resolve().parent.parent / "library" / "module_utils")
)

from ansible.module_utils.dynfleet.placement.graph import SHARE_UNIT, Graph
from ansible.module_utils.dynfleet.placement.search import best_partition, best_two
from ansible.module_utils.dynfleet.topology.links import points

KINDS = {
    "NVSwitch": ["NV18"],
    "two kinds": ["SYS", "NV18"],
    "PCIe": ["SYS", "NODE", "PHB", "PXB", "PIX"],
    "cube": ["SYS", "NODE", "PIX", "NV1", "NV2"],
    "every kind": ["SYS", "NODE", "PHB", "PXB", "PIX", *(f"NV{count}" for count in range(1, 19))],
}
SEEDS = 3


def host(gpus: int, kinds: list[str], seed: int) -> Graph:
    """A random host."""
    draw = random.Random(seed)  # noqa: S311
    rows = [[0] * gpus for _ in range(gpus)]
    for one in range(gpus):
        for other in range(one):
            rows[one][other] = rows[other][one] = points(draw.choice(kinds))
    shares = tuple(
        tuple(SHARE_UNIT * draw.randrange(3) for _ in range(gpus)) for _ in ("nvme", "network")
    )
    return Graph(
        tuple(map(tuple, rows)),
        tuple(draw.randrange(2) for _ in range(gpus)),
        shares,
        ("nvme", "network"),
    )


def measure(gpus: int, size: int) -> tuple[float, float, str]:
    """Seconds of the slowest host: with the runner-up, the optimum alone, and its kind."""
    worst = (0.0, 0.0, "")
    for name, kinds in KINDS.items():
        for seed in range(SEEDS):
            graph = host(gpus, kinds, seed)
            begun = time.process_time()
            best_partition(graph, size)
            middle = time.process_time()
            best_two(graph, size)
            worst = max(worst, (time.process_time() - middle, middle - begun, name))
    return worst


def main() -> int:
    """Measure every case."""
    broken = 0
    for gpus, size, limit in [(8, 2, 0.02)] + [(16, size, 1.0) for size in range(1, 17)]:
        both, best, name = measure(gpus, size)
        broken += both > limit
        print(
            f"{gpus:2} GPUs in groups of {size:2}: {both * 1000:6.1f} ms, the optimum alone"
            f" {best * 1000:6.1f} ms ({name}){'  TOO SLOW' if both > limit else ''}"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
