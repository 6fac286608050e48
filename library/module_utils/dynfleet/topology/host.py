"""CPUs, memory and kernel settings that placement and its readers need."""

from __future__ import annotations

import resource
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import sysfs

KERNEL_MODULES = ("nvidia", "nvidia_uvm", "nvidia_fs", "nvidia_peermem", "gdrdrv")
ACS_CAPABILITY = 0x0D
# Bits of the ACS control register that send peer-to-peer requests up to the root complex.
ACS_REDIRECT = 0x04 | 0x08


def numa_nodes(root: Path, nodes: Sequence[int]) -> list[dict[str, Any]]:
    """CPUs, physical cores (each with its hardware threads), memory and hugepages of each node."""
    found = []
    for node in nodes:
        path = root / f"sys/devices/system/node/node{node}"
        memory = _meminfo(path / "meminfo")
        found.append(
            {
                "node": node,
                "cpus": sysfs.text(path / "cpulist"),
                "cores": _cores(path),
                "memory_bytes": memory.get("MemTotal"),
                "memory_free_bytes": memory.get("MemFree"),
                "hugepages": _hugepages(path),
            }
        )
    return found


def _cores(node: Path) -> list[str]:
    """CPU lists of the physical cores, by their lowest CPU."""
    cores: dict[str, int] = {}
    for cpu in node.glob("cpu[0-9]*"):
        siblings = sysfs.text(cpu / "topology/thread_siblings_list")
        if siblings:
            number = int(cpu.name[3:])
            cores[siblings] = min(number, cores.get(siblings, number))
    return sorted(cores, key=lambda siblings: cores[siblings])


def _meminfo(path: Path) -> dict[str, int]:
    """Bytes by name, of lines such as `Node 0 MemTotal:  1056964608 kB`."""
    found = {}
    for line in (sysfs.text(path) or "").splitlines():
        words = line.replace(":", " ").split()
        if words and words[-1] == "kB":
            found[words[-3]] = int(words[-2]) * 1024
    return found


def _hugepages(node: Path) -> list[dict[str, Any]]:
    return [
        {
            "size_bytes": int(path.name[len("hugepages-") : -len("kB")]) * 1024,
            "total": sysfs.number(path / "nr_hugepages"),
            "free": sysfs.number(path / "free_hugepages"),
        }
        for path in sorted((node / "hugepages").glob("hugepages-*kB"))
    ]


def cpu(root: Path) -> dict[str, Any]:
    """Model, CPUs that are on line, and the number of sockets."""
    lines = (sysfs.text(root / "proc/cpuinfo") or "").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = {
        sysfs.text(path)
        for path in root.glob("sys/devices/system/cpu/cpu*/topology/physical_package_id")
    }
    return {
        "model": models[0] if models else None,
        "online": sysfs.text(root / "sys/devices/system/cpu/online"),
        "sockets": len(packages) or None,
    }


def kernel_modules(root: Path) -> dict[str, str | None]:
    """Version of each module, `loaded` where it tells none, None where it is not loaded."""
    return {
        name: sysfs.text(root / "sys/module" / name / "version") or "loaded"
        if (root / "sys/module" / name).is_dir()
        else None
        for name in KERNEL_MODULES
    }


def memlock() -> dict[str, int | None]:
    """Limits of locked memory of this process in bytes; None is no limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    infinite = resource.RLIM_INFINITY
    return {
        "soft_bytes": None if soft == infinite else soft,
        "hard_bytes": None if hard == infinite else hard,
    }


def iommu(root: Path) -> dict[str, Any]:
    """Number of IOMMU groups (0: no IOMMU in use), their types, kernel options about it."""
    groups = list((root / "sys/kernel/iommu_groups").glob("*"))
    types = {sysfs.text(group / "type") for group in groups} - {None}
    words = (sysfs.text(root / "proc/cmdline") or "").split()
    return {
        "groups": len(groups),
        "types": sorted(str(one) for one in types),
        "cmdline": [word for word in words if "iommu" in word],
    }


def bridges(root: Path, pci: str | None) -> list[str] | None:
    """PCI bridges above a GPU, the root port first; None where sysfs does not show the GPU."""
    chain = sysfs.chain(root, pci) if pci else []
    return chain[1:-1] if chain else None


def acs(root: Path, gpus: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Bridges above the GPUs that send peer-to-peer traffic up to the root complex.

    `bridges` is how many could be read: the extended configuration space is root's only.
    """
    above = {name for gpu in gpus for name in bridges(root, gpu["pci"]) or []}
    control = {name: _acs_control(root / sysfs.DEVICES / name / "config") for name in above}
    return {
        "bridges": sum(value is not None for value in control.values()),
        "redirecting": sorted(name for name, bits in control.items() if (bits or 0) & ACS_REDIRECT),
    }


def _acs_control(config: Path) -> int | None:
    """The ACS control register, 0 where the bridge has none, None where it cannot be read."""
    try:
        space = config.read_bytes()
    except OSError:
        return None
    if len(space) < 4096:
        return None
    at = 0x100
    for _ in range(64):  # more capabilities than fit would be a loop
        (head,) = struct.unpack_from("<I", space, at)
        if head & 0xFFFF == ACS_CAPABILITY:
            (control,) = struct.unpack_from("<H", space, at + 6)
            return int(control)
        at = head >> 20
        if at < 0x100 or at > 4096 - 8:
            break
    return 0
