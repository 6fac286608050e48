"""Waiting until a worker has finished the requests it has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ansible.module_utils.dynfleet.verify import client, metrics

SILENT_SECONDS = 10.0  # a worker whose metrics are silent for so long is hung


class Waited(NamedTuple):
    """How a wait ended."""

    idle: bool
    left: int  # requests in flight at the end, as far as the worker said
    why: str  # why nobody waits any longer; empty where it is idle


def wait(look: Callable[[], client.Answer], seconds: float) -> Waited:
    """Wait until nothing is in flight, for at most so many seconds.

    look: asks for the worker's metrics. A worker that does not answer is hung: nobody waits.
    """
    now = time.monotonic()
    deadline, heard, idle = now + seconds, now, 0
    last = 0
    while True:
        page = look()
        left = metrics.in_flight(page.body)
        now = time.monotonic()
        if left is not None:
            heard, last = now, left
        # Twice: a request may be on its way from a frontend that had chosen already.
        idle = idle + 1 if left == 0 else 0
        if idle == 2:
            return Waited(True, 0, "")
        if now - heard > SILENT_SECONDS:
            return Waited(False, 0, f"it does not answer ({page.brief()}): not waited for")
        if now > deadline:
            return Waited(False, last, f"{last} requests were still running after {seconds:.0f} s")
        time.sleep(0.2)
