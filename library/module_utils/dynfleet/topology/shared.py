"""One reading of the driver for all workers of a host that start at the same time.

Without nvidia-persistenced each process that asks the driver initializes every GPU again; eight at
once take many times as long as one. So starters take turns by a lock, and what one has read
serves the others too if it is recent. A lock of POSIX kind goes with the process that holds it and
not to its children: one that hangs in the driver cannot keep it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology.bounded import Hung

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Seconds by which a reading may be older than the start that it serves.
RECENT = 5.0
# Seconds between two looks at the lock and the reading.
STEP = 0.1
# A second lock, for when the holder of the first one stands still (stopped, frozen).
LOCKS = ("lock.0", "lock.1")
READING = "reading.json"
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC

Facts = dict[str, Any]


def usable(folder: Path) -> bool:
    """Whether this process may share there: its own user's directory, and writable."""
    try:
        own = folder.lstat().st_uid == os.geteuid() and folder.is_dir()
    except OSError:
        return False
    return own and os.access(folder, os.W_OK)


def reading(
    folder: Path,
    read: Callable[[], Facts],
    suffices: Callable[[Facts], bool],
    patience: float,
) -> Facts:
    """A recent reading of another process where that suffices, else what `read` returns.

    Nobody is refused on what another process has seen, whose view may be another one: this
    process then reads for itself, in its turn. patience: seconds to wait for each of the locks.
    Raises bounded.Hung after that, and what `read` and `suffices` raise.
    """
    begun = _now()
    for name in LOCKS:
        with _handle(folder / name) as lock:
            deadline = time.monotonic() + patience
            while True:
                mine = _try(lock)
                seen = _recent(folder, begun - RECENT)
                if seen is not None and suffices(seen):
                    return seen
                if mine:
                    facts = read()
                    _publish(folder, name, facts)
                    return facts
                if time.monotonic() > deadline:
                    break
                time.sleep(STEP)
    raise Hung(f"other starts have been asking the driver for {len(LOCKS) * patience:.0f} s")


def _now() -> float:
    """Seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextlib.contextmanager
def _handle(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _try(handle: int) -> bool:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _recent(folder: Path, since: float) -> Facts | None:
    """What a process has read at or after `since`, in this boot."""
    try:
        with os.fdopen(os.open(folder / READING, os.O_RDONLY | _FLAGS), encoding="utf-8") as file:
            reading = json.load(file)
        fresh = reading["boot"] == _boot() and since <= reading["made"] <= _now()
        return dict(reading["facts"]) if fresh else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _publish(folder: Path, lock: str, facts: Facts) -> None:
    """Leave it to the others. A disk that is full costs them a reading of their own, no start."""
    temporary = folder / f"{READING}.{lock}"
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump({"boot": _boot(), "made": _now(), "facts": facts}, file)
        temporary.replace(folder / READING)


def _boot() -> str:
    return BOOT_ID.read_text(encoding="ascii").strip()
