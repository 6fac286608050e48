"""What the engine's preflight looks at on a host, beside its topology."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.dynfleet.topology import bounded, smi

SHM = "/dev/shm"  # noqa: S108 - the file system, not a file in it
# What CUDA opens; the driver's own tools make them.
DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm")


@dataclass(frozen=True)
class Host:
    """python: `X.Y` of the interpreter that runs this, which releases are made with.

    glibc: `X.Y`, empty where it is another C library. shm_bytes: size of the file system at
    /dev/shm, None where none is mounted there. missing_devices: device nodes of the GPU driver.
    capabilities: compute capability by GPU index, empty where the driver does not tell it.
    """

    python: str
    glibc: str
    shm_bytes: int | None
    missing_devices: tuple[str, ...]
    capabilities: dict[int, tuple[int, int]]


def read(minors: Sequence[int], seconds: float, root: Path = Path("/")) -> Host:
    """This host. minors: device numbers of its GPUs, none where no driver is to be asked."""
    wanted = (*DEVICES, *(f"/dev/nvidia{minor}" for minor in minors)) if minors else ()
    return Host(
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        glibc=_glibc(),
        shm_bytes=_shm(root),
        missing_devices=tuple(path for path in wanted if not (root / path[1:]).exists()),
        capabilities=capabilities(seconds) if minors else {},
    )


def _glibc() -> str:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        return ""
    return version if name == "glibc" else ""


def _shm(root: Path) -> int | None:
    path = root / SHM[1:]
    if not path.is_mount():
        return None
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def capabilities(seconds: float) -> dict[int, tuple[int, int]]:
    """Compute capability by GPU index; empty where nvidia-smi is not there or does not know it."""
    program = smi.program()
    if program is None:
        return {}
    command = [program, "--query-gpu=index,compute_cap", "--format=csv,noheader"]
    try:
        output = bounded.Command(command).finish(time.monotonic() + seconds)
    except (bounded.Hung, OSError):
        return {}
    return parse_capabilities(output.out)


def parse_capabilities(text: str) -> dict[int, tuple[int, int]]:
    """Lines `0, 9.0`. What is no such line (an older nvidia-smi's complaint) says nothing."""
    found = {}
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        try:
            index, (major, minor) = int(row[0]), map(int, row[1].split("."))
        except (ValueError, IndexError):
            continue
        found[index] = (major, minor)
    return found
