"""What a host has that GPUDirect Storage rests on."""

from __future__ import annotations

import grp
import platform
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import host, storage, sysfs

_VERSION = re.compile(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)")


@dataclass(frozen=True)
class Directory:
    """path: of the SSD tier. fstype, options: of its file system. block: kernel name of the block
    device that it is on (nvme0n1p1, dm-0), empty where there is none.
    """

    path: str
    fstype: str
    options: str
    block: str


@dataclass(frozen=True)
class Facts:
    """driver: version of the loaded NVIDIA kernel module, empty where none is. open_module: it is
    the open one. registry: its RegistryDwords. nvidia_fs: version of the module, None where it is
    not loaded. devices: /dev/nvidia-fs*. closed: those that the group may not read and write.
    kernel: `X.Y...`. p2pdma: the kernel has PCI P2PDMA. multipath: nvme_core's, `Y`, `N` or empty.
    iommu: types of IOMMU groups. redirecting: bridges above GPUs that send peer-to-peer traffic to
    the root complex.
    """

    driver: str
    open_module: bool
    registry: str
    nvidia_fs: str | None
    devices: tuple[str, ...]
    closed: tuple[str, ...]
    kernel: str
    p2pdma: bool
    multipath: str
    iommu: tuple[str, ...]
    redirecting: tuple[str, ...]
    directories: tuple[Directory, ...]


def read(
    directories: Sequence[str], gpus: Sequence[dict[str, Any]], group: str, root: Path = Path("/")
) -> Facts:
    """This host. gpus: of its topology. group: of the service user."""
    version = sysfs.text(root / "proc/driver/nvidia/version") or ""
    found = _VERSION.search(version)
    devices = sorted((root / "dev").glob("nvidia-fs*"))
    return Facts(
        driver=found.group(1) if found else "",
        open_module="Open Kernel Module" in version,
        registry=_parameter(root, "RegistryDwords"),
        nvidia_fs=host.kernel_modules(root)["nvidia_fs"],
        devices=tuple(f"/dev/{path.name}" for path in devices),
        closed=tuple(f"/dev/{path.name}" for path in devices if not _open_to(path, group)),
        kernel=platform.release(),
        p2pdma="p2pdma_pgmap_ops" in (sysfs.text(root / "proc/kallsyms") or ""),
        multipath=sysfs.text(root / "sys/module/nvme_core/parameters/multipath") or "",
        iommu=tuple(host.iommu(root)["types"]),
        redirecting=tuple(host.acs(root, gpus)["redirecting"]),
        directories=tuple(_directory(root, path) for path in directories),
    )


def _parameter(root: Path, name: str) -> str:
    """A parameter of the loaded driver, without quotes."""
    for line in (sysfs.text(root / "proc/driver/nvidia/params") or "").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip().strip('"')
    return ""


def _open_to(path: Path, group: str) -> bool:
    """Whether a group may read and write a device."""
    try:
        info, wanted = path.stat(), grp.getgrnam(group).gr_gid
    except (OSError, KeyError):
        return False
    everyone = stat.S_IROTH | stat.S_IWOTH
    own = stat.S_IRGRP | stat.S_IWGRP
    return info.st_mode & everyone == everyone or (
        info.st_gid == wanted and info.st_mode & own == own
    )


def _directory(root: Path, path: str) -> Directory:
    facts = storage.directory(root, path)
    number = next(
        (one.number for one in reversed(storage.mounts(root)) if one.path == facts["mount"]), ""
    )
    device = root / "sys/dev/block" / number
    return Directory(
        path=path,
        fstype=facts.get("fstype") or "",
        options=facts.get("options") or "",
        block=device.resolve().name if number and device.exists() else "",
    )
