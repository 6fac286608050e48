"""PCI devices and NUMA in sysfs. Every function takes the root directory, `/` on a host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

DEVICES = "sys/bus/pci/devices"
NVIDIA = "0x10de"
# PCI base class 03: display controllers (a data centre GPU is a 3D controller, 0302).
DISPLAY = "0x03"
_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_ROOT = re.compile(r"pci[0-9a-f]{4,}:[0-9a-f]{2}")


def text(path: Path) -> str | None:
    """The stripped content of a file, None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """The number in a file, None where there is none."""
    found = text(path)
    try:
        return None if found is None else int(found)
    except ValueError:
        return None


def address(raw: str) -> str:
    """A PCI address as sysfs writes it: `00000000:3B:00.0` is `0000:3b:00.0`."""
    domain, _, rest = raw.strip().lower().partition(":")
    return f"{domain.lstrip('0').rjust(4, '0')}:{rest}"


def chain(root: Path, pci: str) -> list[str]:
    """Path of a device from its root complex: `pci0000:16`, then bridges, then the device.

    Empty where sysfs does not show the device.
    """
    parts = (root / DEVICES / pci).resolve().parts
    start = next((at for at, part in enumerate(parts) if _ROOT.fullmatch(part)), len(parts))
    return [part for part in parts[start:] if _ROOT.fullmatch(part) or _ADDRESS.fullmatch(part)]


def pci_of(path: Path) -> str | None:
    """Address of the PCI function that a class device (NVMe, network) belongs to."""
    found = [part for part in path.resolve().parts if _ADDRESS.fullmatch(part)]
    return found[-1] if found else None


def numa_node(root: Path, pci: str, nodes: Sequence[int]) -> int | None:
    """NUMA node of a device. A host with one node does not say it; then it is that one."""
    found = number(root / DEVICES / pci / "numa_node")
    if found is not None and found >= 0:
        return found
    return nodes[0] if len(nodes) == 1 else None


def distance(
    one: Sequence[str], other: Sequence[str], node: int | None, other_node: int | None
) -> str:
    """Link class between two devices by their chains, in the words of `nvidia-smi topo -m`.

    PIX: at most one switch between them (their own ports of it and its upstream port). PXB:
    more bridges, but not the host bridge. PHB: one host bridge. NODE: two host bridges of one
    NUMA node. SYS: everything else. The rules are those of NCCL's PCI path comparison.
    """
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    if shared == 0:
        return "NODE" if node is not None and node == other_node else "SYS"
    if shared == 1:
        return "PHB"
    return "PIX" if max(len(one), len(other)) - shared <= 2 else "PXB"


def nvidia_gpus(root: Path) -> list[str]:
    """PCI addresses of NVIDIA's display controllers, ascending: what the bus shows."""
    found = []
    for device in sorted((root / DEVICES).glob("*")):
        kind = text(device / "class") or ""
        if text(device / "vendor") == NVIDIA and kind.startswith(DISPLAY):
            found.append(device.name)
    return found


def nodes(root: Path) -> list[int]:
    """Numbers of the NUMA nodes that have CPUs (Grace and CXL hosts have others)."""
    found = [
        int(path.name[4:])
        for path in (root / "sys/devices/system/node").glob("node[0-9]*")
        if text(path / "cpulist")
    ]
    return sorted(found)
