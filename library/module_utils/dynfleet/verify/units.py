"""Judge one unit by what was seen of it, and pick the lines of its log that matter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Problem = dict[str, str]  # check, expected, seen

_TELLING = re.compile(
    r"\b(ERROR|FATAL|CRITICAL|WARN|WARNING|panic(ked)?|Traceback|Failed|failed|code=|status=)"
    r"|[Ee]rror\b|Exception\b|\[(ERR|FTL|WRN)\]|refus|denied|killed|out of memory|OOM"
)
_NUMBER = re.compile(r"[0-9a-f]{8,}|\d+")


def is_trouble(line: str) -> bool:
    """Whether a line of a log speaks of trouble."""
    return bool(_TELLING.search(line))


def telling(lines: Sequence[str], most: int = 8) -> list[str]:
    """Of a log the last lines that speak of trouble, and the very last one; in their order.

    Lines that differ in numbers alone are one line. A log without trouble gives its last lines.
    Long lines are cut.
    """
    last: dict[str, int] = {}
    count: dict[str, int] = {}
    for i, line in enumerate(lines):
        if is_trouble(line):
            kind = _NUMBER.sub("#", line)
            last[kind] = i
            count[kind] = count.get(kind, 0) + 1
    alike = {last[kind]: count[kind] for kind in last}
    wanted = sorted(alike)[-most:]
    if wanted and wanted[-1] != len(lines) - 1:
        wanted.append(len(lines) - 1)
    if not wanted:
        wanted = list(range(len(lines)))[-most:]
    return [_cut(lines[i]) + _times(alike.get(i, 1)) for i in wanted]


def _cut(line: str, most: int = 300) -> str:
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _times(count: int) -> str:
    return f" ({count} such lines)" if count > 1 else ""


def observe(shown: Mapping[str, str] | None, name: str) -> dict[str, Any]:
    """A unit as ``systemctl show`` has it (None: it says nothing of that unit)."""
    show = shown or {}
    return {
        "name": name,
        "load": show.get("LoadState", "not-found"),
        "active": show.get("ActiveState", "inactive"),
        "sub": show.get("SubState", "dead"),
        "result": show.get("Result", ""),
        "enabled": show.get("UnitFileState") == "enabled",
        "stale_definition": show.get("NeedDaemonReload") == "yes",
        "restarts": int(show.get("NRestarts") or 0),
        "pid": int(show.get("MainPID") or 0),
        "since": show.get("StateChangeTimestamp", ""),
        "flapping": "",
        "expected": True,
    }


def problems(unit: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a unit; the first cause only, where the rest follows from it."""
    if not unit["expected"]:
        if unit["active"] == "inactive":
            return []
        return [_problem("unit", "no such unit on this host", state(unit))]
    if unit["load"] != "loaded":
        return [_problem("unit", "loaded", unit["load"])]
    found: list[Problem] = []
    if not unit["enabled"]:
        found.append(_problem("enabled", "started at boot", "not enabled"))
    if unit["stale_definition"]:
        found.append(
            _problem("definition", "as on disk", "changed on disk; systemd has the old one")
        )
    # What an operator drained may be stopped, and runs with what it was drained with.
    drained = bool(unit.get("drained"))
    if unit["active"] != "active":
        seen = "; ".join(text for text in (state(unit), unit.get("flapping")) if text)
        return found if drained else [*found, _problem("state", "active", seen)]
    if unit.get("want") != unit.get("have") and not drained:
        found.append(
            _problem(
                "fingerprint",
                unit.get("want") or "none (no fingerprint file)",
                f"the process runs with {unit.get('have') or 'none'}",
            )
        )
    if unit.get("flapping"):
        found.append(_problem("flapping", "a process that stays", unit["flapping"]))
    health = unit.get("health")
    if alarms := unit.get("alarms"):
        found += [_problem("alarm", "no alarm of etcd's", alarm) for alarm in alarms]
    elif health and not health["ok"]:
        found.append(_problem("health", f"{health['url']}: {health['wanted']}", health["seen"]))
    return found


def _problem(check: str, expected: str, seen: str) -> Problem:
    return {"check": check, "expected": expected, "seen": seen}


def state(unit: Mapping[str, Any]) -> str:
    """State of a unit in words."""
    why = f", result {unit['result']}" if unit["result"] not in ("", "success") else ""
    since = f" since {unit['since']}" if unit["since"] else ""
    return f"{unit['active']} ({unit['sub']}{why}){since}, {unit['restarts']} restarts"


def healthy(status: int, document: Any, answer: Mapping[str, str]) -> bool:
    """Whether a health endpoint said 200 and, in its JSON, every wanted field."""
    said = document if isinstance(document, Mapping) else {}
    return status == 200 and all(str(said.get(key)) == value for key, value in answer.items())


def during_run(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Problem]:
    """Whether a unit that ran at the first look still does; its end is its state's to say."""
    if not before["expected"] or before["active"] != "active" or after["pid"] == 0:
        return []
    seen = [f"process {look['pid']}, {look['restarts']} restarts" for look in (before, after)]
    return [_problem("restarted during verify", *seen)] if seen[0] != seen[1] else []
