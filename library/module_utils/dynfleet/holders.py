"""Which processes hold a lock, or have a file of a directory open. Read from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
# proc_locks(5): number, kind, mode, access, process, device:inode, range. One that waits has `->`.
_LOCK = re.compile(r"\d+: \w+ +\w+ +\w+ +(?P<pid>\d+) [0-9a-f]+:[0-9a-f]+:(?P<inode>\d+) ")


class Holder(NamedTuple):
    """A process, by id and name, and what it holds."""

    pid: int
    name: str
    path: str


def name_of(pid: int, proc: Path = PROC) -> str:
    """A process in one word: its program, of a script the script (`unattended-upgrade`)."""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        short = (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return "a process that has ended"
    named = [Path(word).name for word in words if word and not word.startswith("-")]
    # The interpreter of a script, under whatever name its main thread goes by.
    if len(named) > 1 and re.fullmatch(r"(python|perl|sh|bash|dash)[\d.]*", named[0]):
        return named[1]
    return named[0] if named else short


def of_locks(paths: Sequence[str], proc: Path = PROC) -> list[Holder]:
    """Who has locked one of these files. A file that is not there is held by nobody."""
    inodes: dict[str, str] = {}
    for path in paths:
        with suppress(FileNotFoundError):
            inodes[str(Path(path).stat().st_ino)] = path
    held = [match for match in map(_LOCK.match, _lines(proc / "locks")) if match]
    return [
        Holder(int(match["pid"]), name_of(int(match["pid"]), proc), inodes[match["inode"]])
        for match in held
        if match["inode"] in inodes and _has_open(int(match["pid"]), inodes[match["inode"]], proc)
    ]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _has_open(pid: int, path: str, proc: Path) -> bool:
    """Whether a process has the file open: an inode number alone may be another device's."""
    wanted = Path(path).stat()
    return any(
        (info.st_dev, info.st_ino) == (wanted.st_dev, wanted.st_ino) for info in _open(pid, proc)
    )


def _open(pid: int, proc: Path) -> Iterator[os.stat_result]:
    """What a process has open, and its working directory."""
    process = proc / str(pid)
    links = [process / "cwd"]
    with suppress(OSError):  # it has ended
        links += (process / "fd").iterdir()
    for link in links:
        with suppress(OSError):
            yield link.stat()


def of_directory(directory: str, proc: Path = PROC) -> list[Holder]:
    """Who has a file in a directory open. By inode: a sandboxed process has another path for it."""
    inodes: dict[tuple[int, int], str] = {}
    for folder, _, names in os.walk(directory):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            with suppress(OSError):
                info = path.lstat()
                inodes[info.st_dev, info.st_ino] = str(path)
    found = []
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        held = [inodes.get((info.st_dev, info.st_ino)) for info in _open(int(process.name), proc)]
        if path_held := min((path for path in held if path), default=None):
            found.append(Holder(int(process.name), name_of(int(process.name), proc), path_held))
    return sorted(found)


def told(holders: Sequence[Holder]) -> str:
    """Holders in words; empty where there are none."""
    return ", ".join(f"{one.name} (pid {one.pid}), which holds {one.path}" for one in holders)
