"""Files that the controller sends: what a host has of each, and how a piece gets to its place."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.dynfleet import nofollow

# Bytes sent at once: many enough that logging in does not count, few enough for memory.
PIECE = 64 << 20
# What a file system may have padded behind the last byte that was written before a hole.
PADDING = 1 << 20
# Seconds that a piece waits for another run on the host, and the exit status that says so.
PATIENCE, BUSY = 60, 75


def prepare(staging: Path, paths: Sequence[str]) -> tuple[dict[str, int], str]:
    """Make the files that are still to come; how many bytes of each are there already, and the
    directory's identity (``DEVICE:INODE``).

    A name that other files share is dropped first: writing through it would change them too.
    Raises OSError, and nofollow.UnsafePath for a directory that is not root's alone.
    """
    had = {}
    with nofollow.private(staging) as place:
        for name in paths:
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and path.stat().st_nlink > 1:
                path.unlink()
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                had[name] = contiguous(handle)
            finally:
                os.close(handle)
        info = place.stat()
        return had, f"{info.st_dev}:{info.st_ino}"


def contiguous(handle: int) -> int:
    """Bytes from the beginning without a gap; another way of fetching leaves holes."""
    size = os.fstat(handle).st_size
    try:
        hole = os.lseek(handle, 0, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # empty
            return 0
        raise
    return size if hole >= size else max(0, hole - PADDING)


@dataclass(frozen=True)
class Place:
    """Where pieces go. identity: of the staging directory, as prepare() found it."""

    staging: str
    identity: str
    lock: str


def command(place: Place, path: str, offset: int, piece: str = "") -> str:
    """The shell command that puts a piece into a file, and then prints the file's size.

    It goes into the directory first, and on only if that is the one that was prepared: the name
    may lie in a directory of another user. path: of the file, below it. offset: byte of the file
    where it goes. piece: a file of the host; without it, standard input, which is read to its end
    even on a failure, so that the failure is what gets reported.
    """
    words = [
        *("flock", "-w", str(PATIENCE), "-E", str(BUSY), place.lock),
        *("dd", *([f"if={piece}"] if piece else []), f"of=./{path}", "bs=1M", "iflag=fullblock"),
        *("oflag=seek_bytes", f"seek={offset}", "conv=nocreat,notrunc", "status=none"),
    ]
    staging = shlex.quote(place.staging)
    enter = (
        f'cd {staging} && {{ test "$(stat -c %d:%i .)" = {place.identity} || '
        f"{{ echo {staging} was replaced by another directory >&2; false; }}; }}"
    )
    drain = "" if piece else " || { rc=$?; cat >/dev/null; exit $rc; }"
    return f"{enter} && {shlex.join(words)} && stat -c %s {shlex.quote(f'./{path}')}{drain}"
