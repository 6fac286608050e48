"""Whether a host can run the engine: judged before anything on it is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.dynfleet.engine.host import SHM, Host
from ansible.module_utils.dynfleet.engine.problem import Problem

GIB = 1 << 30
# Beside its tier a worker keeps in /dev/shm: FlexKV's operation buffer, 16 KiB for each block of
# the tier (1 % where a block is 1.6 MiB, less where it is larger), and the queues and rings by
# which vLLM's and NCCL's processes talk, under 1 GiB.
TIER_SHARE, WORKER_GIB = 1.01, 1.0
# The oldest GPU that code of a CUDA major runs on (its release notes), and its name.
OLDEST_GPU = {12: ((7, 0), "Volta"), 13: ((7, 5), "Turing")}


@dataclass(frozen=True)
class Wanted:
    """What the release set and the service ask of a host.

    cuda: major version. driver_min: the first part of a driver's version is enough. pythons,
    glibc: `X.Y` that releases are locked for, and the least. workers: how many the host gets.
    cpu_cache_gib: the memory tier of one.
    """

    cuda: int
    driver_min: str
    pythons: Sequence[str]
    glibc: str
    workers: int
    cpu_cache_gib: float


def parts(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare: `580.95.05` is (580, 95, 5)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def shm_bytes(wanted: Wanted) -> int:
    """What all workers of a host need in /dev/shm."""
    return int(wanted.workers * (wanted.cpu_cache_gib * TIER_SHARE + WORKER_GIB) * GIB)


def check(wanted: Wanted, host: Host, topology: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong. A recorded topology stands for GPUs that are not there: then
    nothing is asked of the driver."""
    found = [*_python(wanted, host), *_shm(wanted, host)]
    if topology["source"] == "live":
        found += [*_driver(wanted, topology), *_devices(host), *_gpus(wanted, host, topology)]
    return found


def _python(wanted: Wanted, host: Host) -> Iterator[Problem]:
    if host.python not in wanted.pythons:
        yield Problem(
            "Python",
            host.python,
            " or ".join(wanted.pythons),
            "the release set is locked for these; install one and name it in "
            "ansible_python_interpreter, or choose another dynamo_release_set",
        )
    if wanted.glibc and (not host.glibc or parts(host.glibc) < parts(wanted.glibc)):
        yield Problem(
            "the C library",
            f"glibc {host.glibc}" if host.glibc else "not glibc",
            f"glibc {wanted.glibc} or newer",
            "the release set's wheels need it; install a newer distribution on the host "
            "(Debian 13, Ubuntu 24.04)",
        )


def _shm(wanted: Wanted, host: Host) -> Iterator[Problem]:
    need = shm_bytes(wanted)
    if host.shm_bytes is None or host.shm_bytes < need:
        size = -(-need // GIB)
        yield Problem(
            SHM,
            "not mounted" if host.shm_bytes is None else f"{host.shm_bytes / GIB:.1f} GiB",
            f"{need / GIB:.1f} GiB or more, for the memory tier of {wanted.workers} workers",
            f"mount -o remount,size={size}G {SHM} and for the next boot in /etc/fstab: "
            f"'tmpfs {SHM} tmpfs size={size}G 0 0'; or give a smaller worker_cpu_cache_gib",
        )


def _driver(wanted: Wanted, topology: Mapping[str, Any]) -> Iterator[Problem]:
    version, cuda = topology["driver"]["version"], topology["driver"]["cuda"]
    if not version:
        told = "; ".join(problem["message"] for problem in topology["problems"])
        yield Problem(
            "the GPU driver",
            told or "not there",
            f"{wanted.driver_min} or newer",
            "install it, and see that nvidia-smi shows the GPUs",
        )
        return
    if parts(version) < parts(wanted.driver_min):
        yield Problem(
            "the GPU driver",
            version,
            f"{wanted.driver_min} or newer",
            "the release set is made for it (driver_min): install a newer driver and restart the "
            "host",
        )
    elif cuda and parts(cuda)[0] < wanted.cuda:
        yield Problem(
            "the newest CUDA that the driver runs",
            cuda,
            f"{wanted.cuda}.0 or newer",
            "the release set's wheels are built for it: install a newer driver and restart the "
            "host",
        )


def _devices(host: Host) -> Iterator[Problem]:
    if host.missing_devices:
        yield Problem(
            "device nodes: " + ", ".join(host.missing_devices),
            "missing",
            "there",
            "a worker's sandbox may not make them: 'nvidia-modprobe -u -c 0' now, and at each boot "
            "(nvidia-persistenced, or the driver package's udev rules)",
        )


def _gpus(wanted: Wanted, host: Host, topology: Mapping[str, Any]) -> Iterator[Problem]:
    if wanted.cuda not in OLDEST_GPU:
        return
    oldest, name = OLDEST_GPU[wanted.cuda]
    for gpu in topology["gpus"]:
        have = host.capabilities.get(gpu["index"])
        if have is not None and have < oldest:
            yield Problem(
                f"GPU {gpu['index']} ({gpu['name']})",
                f"of compute capability {have[0]}.{have[1]}",
                f"{oldest[0]}.{oldest[1]} ({name}) or newer",
                f"CUDA {wanted.cuda} has no code for it: leave it out by placement_exclude, or "
                "choose a release set of an older CUDA",
            )
