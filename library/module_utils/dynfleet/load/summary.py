"""What many requests came to: counts, reasons, the longest pause."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.dynfleet.load.record import FAILED, TRUNCATED, WHOLE, WRONG, Record


def kind(reason: str) -> str:
    """A reason without what differs from request to request, so that like ones can be counted."""
    return re.sub(r"\d+", "N", reason)[:120]


def within(records: Iterable[Record], start: float, end: float) -> list[Record]:
    """Records of requests that ended in a time, which is where their faults show."""
    return [record for record in records if start <= record.ended < end]


def summarise(records: Iterable[Record], start: float = 0.0) -> dict[str, Any]:
    """Figures of requests.

    start: a pause that ended before it belongs to what was before, and is left out.
    Returns requests, whole, failed, truncated, wrong (more text than asked, or a false count),
    migrated, moved, tokens, longest_pause and median_ttft (seconds), reasons and frontends
    (count by each).
    """
    taken = list(records)
    outcomes = Counter(record.outcome for record in taken)
    bad = [record for record in taken if record.outcome != WHOLE]
    waits = sorted(record.ttft for record in taken if record.ttft is not None)
    pauses = [record.longest_gap for record in taken if record.gap_ended >= start]
    return {
        "requests": len(taken),
        **{name: outcomes[name] for name in (WHOLE, FAILED, TRUNCATED, WRONG)},
        "migrated": sum(record.migrated for record in taken),
        "moved": sum(bool(record.moved) for record in taken),
        "tokens": sum(record.tokens for record in taken),
        "longest_pause": round(max(pauses, default=0.0), 3),
        "median_ttft": round(waits[len(waits) // 2], 3) if waits else None,
        "reasons": dict(Counter(kind(record.reason) for record in bad).most_common()),
        "frontends": dict(sorted(Counter(record.frontend for record in taken).items())),
    }
