"""One run at a time: a second one waits for the first, then finds its work done."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BusyError(Exception):
    """Another run held the lock for as long as one may take."""


@contextmanager
def exclusive(path: Path, timeout: int) -> Iterator[int]:
    """Hold a lock file for the duration of a block; it goes with the process.

    timeout: seconds to wait for another holder. Raises BusyError after that. The handle that the
    block gets is for its child processes to inherit: those of a run that was killed are then waited
    for, not disturbed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(f"another run has held {path} for {timeout} s") from None
                time.sleep(1)
        yield handle.fileno()
