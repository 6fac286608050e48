"""NVMe devices, what is mounted from them, and the file systems under given directories."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.topology import sysfs
from ansible.module_utils.dynfleet.topology.links import NONE

# Entries of a directory tree that are counted before its size is given up.
MAX_ENTRIES = 20000
# A statvfs of a file system on the network can hang.
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "beegfs", "gpfs", "9p"})
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo: `number` is major:minor of the device, `inner` the path in
    its file system, which is not / for a bind mount."""

    path: str
    number: str
    fstype: str
    device: str
    options: str
    inner: str


def mounts(root: Path) -> list[Mount]:
    """Everything mounted, in mount order."""
    found = []
    for line in (sysfs.text(root / "proc/self/mountinfo") or "").splitlines():
        head, _, tail = line.partition(" - ")
        fields, after = head.split(), tail.split()
        if len(fields) >= 6 and len(after) >= 3:
            options = ",".join(dict.fromkeys((fields[5] + "," + after[2]).split(",")))
            inner, path = (
                _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text) for text in fields[3:5]
            )
            found.append(Mount(path, fields[2], after[0], after[1], options, inner))
    return found


def disks(root: Path, number: str) -> list[str]:
    """Whole disks under a block device: through partitions, RAID and device mapper."""
    device = root / "sys/dev/block" / number
    if not device.exists():
        return []
    device = device.resolve()
    slaves = sorted((device / "slaves").glob("*")) if (device / "slaves").is_dir() else []
    if slaves:
        numbers = [sysfs.text(slave / "dev") for slave in slaves]
        return [disk for found in numbers if found for disk in disks(root, found)]
    return [device.parent.name if (device / "partition").exists() else device.name]


def nvme(root: Path, gpus: Sequence[dict[str, Any]], nodes: Sequence[int]) -> list[dict[str, Any]]:
    """Each NVMe namespace, with its mounts and its distance to each GPU, in GPU order."""
    under: dict[str, list[dict[str, Any]]] = {}
    for mount in mounts(root):
        for disk in dict.fromkeys(disks(root, mount.number)):
            if disk.startswith("nvme"):
                under.setdefault(disk, []).append(_mount_facts(root, mount))
    found = []
    for path in sorted((root / "sys/block").glob("nvme*n*")):
        pci = sysfs.pci_of(path)
        sectors = sysfs.number(path / "size")
        found.append(
            {
                "name": path.name,
                "pci": pci,
                "numa_node": pci and sysfs.numa_node(root, pci, nodes),
                "model": sysfs.text(path / "device/model"),
                "size_bytes": None if sectors is None else sectors * 512,
                "mounts": under.get(path.name, []),
                "distance": distances(root, pci, gpus, nodes),
            }
        )
    return found


def distances(
    root: Path, pci: str | None, gpus: Sequence[dict[str, Any]], nodes: Sequence[int]
) -> list[str]:
    """Link class of a device to each GPU, in GPU order, NONE to a GPU without an address.

    Empty for a device that is not on the PCI bus.
    """
    if pci is None:
        return []
    mine, node = sysfs.chain(root, pci), sysfs.numa_node(root, pci, nodes)
    return [
        sysfs.distance(mine, sysfs.chain(root, gpu["pci"]), node, gpu["numa_node"])
        if gpu["pci"]
        else NONE
        for gpu in gpus
    ]


def _mount_facts(root: Path, mount: Mount) -> dict[str, Any]:
    size, free = _space(root, mount)
    return {
        "path": mount.path,
        "device": mount.device,
        "fstype": mount.fstype,
        "options": mount.options,
        "size_bytes": size,
        "free_bytes": free,
    }


def _space(root: Path, mount: Mount) -> tuple[int | None, int | None]:
    """Size, and what an ordinary user may still write, in bytes."""
    if mount.fstype in NETWORK:
        return None, None
    try:
        found = os.statvfs(root / mount.path.lstrip("/"))
    except OSError:
        return None, None
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


def directory(root: Path, path: str) -> dict[str, Any]:
    """The file system that holds a directory, which need not exist yet.

    `own_bytes` is what is allocated below the directory, None where that is too much to count.
    """
    holders = [
        mount
        for mount in mounts(root)
        if path == mount.path or path.startswith(mount.path.rstrip("/") + "/")
    ]
    if not holders:
        return {"path": path, "mount": None, "devices": [], "free_bytes": None, "own_bytes": None}
    # Of two mounts on one path the later hides the earlier.
    mount = max(enumerate(holders), key=lambda one: (len(one[1].path), one[0]))[1]
    facts = _mount_facts(root, mount)
    return {
        "path": path,
        "mount": mount.path,
        "devices": list(dict.fromkeys(disks(root, mount.number))),
        "fstype": mount.fstype,
        "options": mount.options,
        "size_bytes": facts["size_bytes"],
        "free_bytes": facts["free_bytes"],
        "own_bytes": None if mount.fstype in NETWORK else _allocated(root / path.lstrip("/")),
    }


def _allocated(top: Path) -> int | None:
    """Bytes allocated to files below a directory, 0 where it does not exist."""
    total = entries = 0
    for folder, _, names in os.walk(top):
        for name in names:
            entries += 1
            if entries > MAX_ENTRIES:
                return None
            try:
                total += (Path(folder) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total
