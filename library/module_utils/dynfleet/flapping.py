"""Units that systemd starts again and again, as its journal tells.

A process that keeps ending is easily missed: between two ends its unit is active, and one that ends
with exit code 0 counts as a success.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence

# systemd's message catalogue (systemd.journal-fields(7), sd-messages.h).
RESTART = "5eb03494b6584870a536b337290809b3"  # a restart was scheduled
EXIT = "98e322203f7a4ed290d09fe03c09fe15"  # a process ended with a failure
SUCCESS = "7ad2d189f7e94e70a38c781354912448"  # a unit ended with exit code 0, or as asked
MINUTES = 10
MOST = 2  # automatic restarts in that time that are no pattern yet


def read(unit: str, state: Mapping[str, str]) -> str:
    """How often systemd restarted a unit lately, and how it ended; empty where it is steady.

    state: of the unit, as systemd shows it.
    """
    # Counted since the last start by hand, so that a steady unit costs no look at the journal.
    if int(state.get("NRestarts") or 0) <= MOST:
        return ""
    command = ["journalctl", "--quiet", "--output=json", f"--since=-{MINUTES}min", f"UNIT={unit}"]
    command += [f"MESSAGE_ID={message}" for message in (RESTART, EXIT, SUCCESS)]
    try:
        logged = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except subprocess.TimeoutExpired:
        return ""
    return judge([json.loads(line) for line in logged.splitlines()])


def judge(entries: Sequence[Mapping[str, str]]) -> str:
    """The same, from entries of the journal of that time."""
    restarts = sum(entry.get("MESSAGE_ID") == RESTART for entry in entries)
    if restarts <= MOST:
        return ""
    ends = [entry for entry in entries if entry.get("MESSAGE_ID") in (EXIT, SUCCESS)]
    how = f", the last time after {_end(ends[-1])}" if ends else ""
    return f"restarted {restarts} times in {MINUTES} min by systemd{how}"


def _end(entry: Mapping[str, str]) -> str:
    """How a process ended."""
    if entry.get("MESSAGE_ID") == SUCCESS:
        return "exit code 0"
    if entry.get("EXIT_CODE") == "exited":
        return f"exit code {entry.get('EXIT_STATUS')}"
    return f"signal {entry.get('EXIT_STATUS')}"
