"""How far a model has come, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.model.journal import NAME
from ansible.module_utils.dynfleet.model.room import gib


def look(staging: Path) -> dict[str, Any]:
    """Figures as journal.summary() gives them; empty where there are none yet."""
    try:
        content: dict[str, Any] = json.loads((staging / NAME).read_text())
    except (OSError, ValueError):
        return {}
    content.pop("files", None)
    return content


def duration(seconds: float) -> str:
    """Seconds for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def line(before: Mapping[str, Any], now: Mapping[str, Any], total: int) -> str:
    """Files and bytes done, rate since the look before, and the time that is left at this rate.

    total: bytes.
    """
    if not now:
        return "begins"
    words = [f"{gib(now['bytes'])} of {gib(total)}"]
    if "checked" in now:
        words.append(f"{now['checked']} of {now['count']} files checked")
    seconds = now["time"] - before["time"] if before else 0
    rate = (now["bytes"] - before["bytes"]) / seconds if seconds > 0 else 0
    if rate > 0:
        words.append(f"{gib(rate)}/s")
        words.append(f"about {duration((total - now['bytes']) / rate)} left")
    return ", ".join(words)
