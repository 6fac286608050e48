"""Whether a disk has room for a model, and whether its readers get there."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence
from pathlib import Path


def gib(size: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(place for place in (path, *path.parents) if place.is_dir())


def allocated(directory: Path) -> int:
    """Bytes of disk that the files of a directory take; those with other names elsewhere not."""
    infos = [path.lstat() for path in directory.rglob("*")]
    return sum(info.st_blocks * 512 for info in infos if info.st_nlink == 1)


def lack(place: Path, needed: int, old: Sequence[Path]) -> str:
    """What to say where a disk has too little room, or nothing.

    needed: bytes. old: directories that could go.
    """
    disk = nearest(place)
    info = os.statvfs(disk)
    free = info.f_bavail * info.f_frsize
    if needed <= free:
        return ""
    known = [f"{path} ({gib(allocated(path))})" for path in old]
    mend = f"Not used any more: {', '.join(known)}" if known else "Make room"
    return (
        f"{place} needs {gib(needed)} more, and the file system of {disk} has {gib(free)} free. "
        f"{mend}, or set dynamo_model_path to a larger disk"
    )


def closed(path: Path, user: str) -> Path | None:
    """The first directory above a path that a user may not pass, or None.

    A user that is not there yet counts as nobody in particular.
    """
    try:
        entry = pwd.getpwnam(user)
        uid, groups = entry.pw_uid, {entry.pw_gid}
        groups |= {group.gr_gid for group in grp.getgrall() if user in group.gr_mem}
    except KeyError:
        uid, groups = -1, set()
    for place in reversed(path.parents):
        if not place.is_dir():
            return None
        info = place.stat()
        shift = 6 if info.st_uid == uid else 3 if info.st_gid in groups else 0
        if not info.st_mode >> shift & 1:
            return place
    return None
