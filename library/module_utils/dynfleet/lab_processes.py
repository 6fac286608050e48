"""Processes of lab hosts: found by their exact arguments and control groups, not by a pattern."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Callable

PROC = Path("/proc")


def arguments(pid: int) -> list[str]:
    """A process's command line; empty where it is gone."""
    try:
        text = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return text.rstrip(b"\0").decode(errors="surrogateescape").split("\0")


def parent(pid: int) -> int | None:
    """Parent of a process; None where it is gone or only waits to be reaped."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[1])


def with_argument(argument: str) -> list[int]:
    """Processes of this machine (not of a container) that were given exactly this argument."""
    own = (PROC / "self/ns/pid").readlink()
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and argument in arguments(int(entry.name)):
            with suppress(OSError):
                if (entry / "ns/pid").readlink() == own and parent(int(entry.name)) is not None:
                    found.append(int(entry.name))
    return found


def arguments_with_prefix(prefix: str) -> set[str]:
    """Arguments of this machine's processes that begin so."""
    found = {
        argument
        for entry in PROC.iterdir()
        if entry.name.isdigit()
        for argument in arguments(int(entry.name))
        if argument.startswith(prefix)
    }
    return {argument for argument in found if with_argument(argument)}


def child(pid: int) -> int | None:
    """The first child of a process: for nspawn, the host's init."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and parent(int(entry.name)) == pid:
            return int(entry.name)
    return None


def kill(pid: int, still: Callable[[], bool]) -> None:
    """Kill a process if it still is the one that was meant; a pid used anew is never hit."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if still():
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def kill_argument(argument: str) -> None:
    """Kill every process that with_argument finds, until there is none."""
    deadline = time.monotonic() + 10
    while found := with_argument(argument):
        for pid in found:
            kill(pid, lambda pid=pid: argument in arguments(pid))  # type: ignore[misc]
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {found} with {argument} do not die")
        time.sleep(0.02)


def control_group_mounts(mountinfo: str) -> list[str]:
    """Where the version 2 hierarchy and systemd's own of version 1 are mounted."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(left.split()[4])
    return found


def control_groups(name: str) -> list[Path]:
    """Directories of a control group in these hierarchies."""
    mounts = control_group_mounts((PROC / "self/mountinfo").read_text())
    return [Path(mount) / name for mount in dict.fromkeys(mounts)]


def clear_control_group(group: Path) -> None:
    """Kill whatever is left in a control group, and remove it with those inside."""
    # Killed processes take their time to go: those of fourteen hosts at once, more than 10 s.
    deadline = time.monotonic() + 60
    while group.is_dir():
        inner = sorted(group.glob("**/"), key=lambda path: len(path.parts), reverse=True)
        for directory in inner:
            with suppress(OSError):
                for line in (directory / "cgroup.procs").read_text().split():
                    member = directory / "cgroup.procs"
                    kill(int(line), lambda m=member, p=line: p in m.read_text().split())  # type: ignore[misc]
            with suppress(OSError):
                directory.rmdir()
        if time.monotonic() > deadline:
            raise TimeoutError(f"control group {group} does not get empty")
        time.sleep(0.02)
