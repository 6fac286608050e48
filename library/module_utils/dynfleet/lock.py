"""A lock that ends with the process that holds it, and with those that it handed it to."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.dynfleet import nofollow


class LockError(Exception):
    """Another process has held the lock for too long."""


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[int]:
    """Hold a lock file for the duration of a block; it goes with the process.

    timeout: seconds to wait for another holder. Raises LockError after that. The handle that the
    block gets is for its child processes to inherit: those of a run that was killed are then waited
    for, not disturbed.
    """
    with nofollow.parent(path, make=True) as (directory, name):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        handle = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        deadline = time.monotonic() + timeout
        while not _try(handle):
            if time.monotonic() > deadline:
                raise LockError(
                    f"another run has held {path} for {timeout:.0f} s (fuser -v {path})"
                )
            time.sleep(0.5)
        yield handle
    finally:
        os.close(handle)


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try(handle)
    finally:
        os.close(handle)
