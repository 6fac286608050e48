"""Whether FlexKV's SSD tier can work on a host: io_uring allowed, file systems with O_DIRECT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.engine.problem import Problem
from ansible.module_utils.dynfleet.topology import sysfs
from ansible.module_utils.dynfleet.topology.storage import NETWORK

DISABLED = "kernel.io_uring_disabled"
ALLOW = f"sysctl -w {DISABLED}=0, and the same in /etc/sysctl.d for the next boot"
ON_DISK = "name directories on the SSDs' own file systems (ext4, xfs) in placement_ssd_roots"
# File systems that take the tier's files, and are not what the tier is for.
UNFIT = {
    "tmpfs": "it is the host's memory, of which the tier would take twice",
    "ramfs": "it is the host's memory, of which the tier would take twice",
    "overlay": "it has no block device of its own, and direct I/O is left to the layer below",
    **dict.fromkeys(NETWORK, "it is on the network"),
}
MEANING = {
    1: "1 (only for members of kernel.io_uring_group)",
    2: "2 (for nobody)",
}


def disabled(root: Path = Path("/")) -> int | None:
    """The value of kernel.io_uring_disabled; None where the kernel (before 6.6) has none."""
    return sysfs.number(root / "proc/sys" / DISABLED.replace(".", "/", 1))


def check(setting: int | None, directories: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """What can be seen without trying. directories: of `topology.storage.directory`."""
    if setting:
        yield Problem(DISABLED, MEANING.get(setting, str(setting)), "0", ALLOW)
    for facts in directories:
        kind = facts.get("fstype")
        if kind is None:
            yield Problem(facts["path"], "on no file system", "on an SSD's", ON_DISK)
        elif kind in UNFIT:
            yield Problem(
                f"the file system of {facts['path']}",
                f"{kind} ({UNFIT[kind]})",
                "one that reads and writes past the page cache (O_DIRECT)",
                ON_DISK,
            )


def tried(seen: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Problem]:
    """What the trial (`engine.ring`) met. names: the directory that a trial's stands for."""
    if seen["library"]:
        yield Problem("liburing.so.2", seen["library"], "a library that loads", "install liburing2")
    if seen["ring"]:
        yield Problem(
            "setting up an io_uring as the service user",
            f"refused ({seen['ring']})",
            "allowed",
            f"{ALLOW}; in a container, allow the io_uring calls in its seccomp profile",
        )
    for path, error in seen["directories"].items():
        if error:
            told = error.replace(path, names[path])
            yield Problem(f"direct I/O below {names[path]}", told, "data back unharmed", ON_DISK)
