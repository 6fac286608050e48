"""What a host remembers of its workers: drained by an operator, cordoned, last rolled.

All are small JSON files. A drained worker stays down over reboots (its unit has a condition on
the file); a cordon lies in /run, for the keys that it holds end with the processes.
"""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.dynfleet import files, nofollow

DRAINED = "/etc/dynamo/drained"
CORDONED = "/run/dynamo-roll/cordoned"
ROLLED = "/var/lib/dynamo/roll"
LOCK = "/run/dynamo-roll/lock"


def drained(index: int) -> str:
    """File that says who drained a worker: who, since, why."""
    return f"{DRAINED}/worker-{index}"


def cordoned(index: int) -> str:
    """File with the keys that were taken out of discovery.

    by, who, since, why, run, keys; invocation: the process that they are of; waited: a roll has
    let that process finish what it had.
    """
    return f"{CORDONED}/worker-{index}.json"


def rolled(unit: str) -> str:
    """File about a unit's last roll: run, replaced (invocation before), finished, seconds."""
    return f"{ROLLED}/{unit}.json"


def read(path: str) -> dict[str, Any] | None:
    """A mark; None where there is none. One that cannot be read is a mark all the same."""
    content = files.read(path)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def on_process(mark: dict[str, Any] | None, invocation: str) -> dict[str, Any] | None:
    """A cordon, where it is on this start of the unit: that of an earlier one says nothing."""
    return mark if mark and invocation and mark.get("invocation") == invocation else None


def restarted_by(run: str | None, unit: str, invocation: str) -> bool:
    """Whether this roll has already restarted a unit: what runs is not what the roll replaced."""
    record = read(rolled(unit)) or {}
    return run is not None and record.get("run") == run and record.get("replaced") != invocation


def write(path: str, mark: dict[str, Any]) -> None:
    """Write a mark, in one step."""
    content = json.dumps(mark, indent=1) + "\n"
    files.write(
        {"path": path, "content": content, "owner": "root", "group": "root", "mode": "0644"}
    )


def remove(path: str) -> None:
    """Remove a mark; one that is not there is no error."""
    nofollow.unlink(path)


def told(mark: dict[str, Any] | None) -> str:
    """A mark in words; empty without one."""
    if mark is None:
        return ""
    said = (
        f"by {mark.get('who') or 'an unknown hand'} since {mark.get('since') or 'an unknown time'}"
    )
    return f"{said}: {mark['why']}" if mark.get("why") else said
