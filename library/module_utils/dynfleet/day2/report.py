"""What was done with a worker, and how a step that it failed is told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ansible.module_utils.dynfleet import systemd


class Failed(Exception):
    """A worker did not do what it should; the message names it, and how to fix that.

    mention: words by which other logs name the worker.
    """

    def __init__(self, message: str, mention: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.mention = list(mention)


@dataclass
class Report:
    """What was done with one worker."""

    unit: str
    # none, drained, uncordoned, waited for, started, restarted, left drained
    action: str = "none"
    instance: int | None = None
    in_flight: int = 0  # requests that were left to migration when it was stopped
    seconds: dict[str, float] = field(default_factory=dict)  # by step
    notes: list[str] = field(default_factory=list)
    safe_to_stop: bool = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        started = time.monotonic()
        try:
            yield
        finally:
            took = self.seconds.get(name, 0.0) + time.monotonic() - started
            self.seconds[name] = round(took, 2)


def failure(unit: str, what: str, *, asked: str, seen: str, do: str) -> str:
    """A step that a unit failed: one line that stands alone, then what an operator needs.

    what: the rest of a sentence that begins with the unit. asked, seen: what the step asked for and
    what there was instead. do: what to do about it.
    """
    return (
        f"{unit} {what}\n  asked: {asked}\n  seen: {seen}\n  do: {do}\n"
        f"  its log (journalctl -u {unit}):\n    "
        + "\n    ".join(systemd.journal(unit).splitlines())
    )
