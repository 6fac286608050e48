"""Texts in the shape that `nvidia-smi topo -m` prints, written from a matrix."""

from __future__ import annotations

from collections.abc import Sequence

LEGEND = """
Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes
  NODE = Connection traversing PCIe as well as the interconnect between PCIe Host Bridges
  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)
  PXB  = Connection traversing multiple PCIe bridges (without traversing the PCIe Host Bridge)
  PIX  = Connection traversing at most a single PCIe bridge
"""
NVLINK_LEGEND = "  NV#  = Connection traversing a bonded set of # NVLinks\n"


def matrix(
    cells: Sequence[Sequence[str]],
    labels: Sequence[str],
    affinity: Sequence[str] = (),
    columns: str = "\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID",
) -> str:
    """Header and rows. `affinity` is what follows the cells of each row, tabs included."""
    lines = ["\t" + "\t".join(labels) + columns]
    for place, (label, row) in enumerate(zip(labels, cells)):
        shown = [" X " if cell == "X" else cell for cell in row]
        tail = affinity[place] if place < len(affinity) else ""
        lines.append(label + "\t" + "\t".join(shown) + tail)
    return "\n".join(lines) + "\n"


FOUR = [
    ["X", "NV4", "SYS", "SYS"],
    ["NV4", "X", "SYS", "SYS"],
    ["SYS", "SYS", "X", "NV4"],
    ["SYS", "SYS", "NV4", "X"],
]
GPUS = ["GPU0", "GPU1", "GPU2", "GPU3"]
AFFINITY = ["\t0-15,32-47\t0\t\tN/A"] * 2 + ["\t16-31,48-63\t1\t\tN/A"] * 2
PLAIN = matrix(FOUR, GPUS, AFFINITY) + LEGEND + NVLINK_LEGEND
