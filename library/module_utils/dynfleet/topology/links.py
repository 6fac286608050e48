"""The classes of link between two devices, as `nvidia-smi topo -m` names them.

Order and points are those of NVIDIA's go-gpuallocator (internal/links/device.go), which its
Kubernetes device plugin uses: SYS 10, NODE 20, PHB 30, PXB 40, PIX 50 and 100 for each NVLink.
"""

from __future__ import annotations

import re

SELF = "X"
NONE = "NONE"
PCIE_POINTS = {NONE: 0, "SYS": 10, "NODE": 20, "PHB": 30, "PXB": 40, "PIX": 50}
POINTS_PER_NVLINK = 100
# Names of other driver generations for the same class.
ALIASES = {"SOC": "SYS"}
_NVLINK = re.compile(r"NV([1-9][0-9]?)")


def canonical(cell: str) -> str | None:
    """The class that a cell names (`SOC` is `SYS`), or None where it is no link class."""
    cell = ALIASES.get(cell, cell)
    if cell == SELF or cell in PCIE_POINTS or _NVLINK.fullmatch(cell):
        return cell
    return None


def points(link: str) -> int:
    """Points of a link class; a stronger class has more. Raises ValueError for another word."""
    if link in PCIE_POINTS:
        return PCIE_POINTS[link]
    match = _NVLINK.fullmatch(link)
    if match is None:
        raise ValueError(
            f"'{link}' is not a link class: use SYS, NODE, PHB, PXB, PIX or NV1, NV2, ..."
        )
    return POINTS_PER_NVLINK * int(match.group(1))


def nvlinks(link: str) -> int:
    """Number of NVLinks in a class: 18 for NV18, 0 for a PCIe class."""
    match = _NVLINK.fullmatch(link)
    return int(match.group(1)) if match else 0
