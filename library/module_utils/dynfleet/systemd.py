"""systemd as a module sees it: bounded calls, what a unit's process runs with, what it logged."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.dynfleet import files, units
from ansible.module_utils.dynfleet.verify import units as telling

UNIT_DIRECTORY = "/etc/systemd/system/"
STARTED = "/run/dynamo-started"
FINGERPRINTS = "/etc/dynamo/fingerprint"


def systemctl(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run systemctl; a call that hangs raises subprocess.TimeoutExpired."""
    return subprocess.run(
        ["systemctl", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def show(names: list[str]) -> dict[str, dict[str, str]]:
    """State of the named units, by name."""
    if not names:
        return {}
    properties = ",".join(units.SHOW_PROPERTIES)
    return units.parse_show(systemctl("show", "-p", properties, *names).stdout)


def started_with(state: Mapping[str, str]) -> bytes:
    """What the unit's main process was started with: variables, each ended by a zero byte.

    state: of the unit, as ``show`` gives it. Empty without a process. Taken from the note of this
    start (roles/host/files/record-start): a process may write over its own environment. That is
    asked only where there is no such note, as for a unit that an earlier version has started.
    """
    pid = int(state.get("MainPID") or 0)
    if pid == 0:
        return b""
    noted = units.from_file(files.read(f"{STARTED}/{state.get('Id')}") or b"")
    start = state.get("InvocationID")
    if start and units.variable(noted, "INVOCATION_ID") == start:
        return noted
    return files.read(f"/proc/{pid}/environ") or b""


def wanted(unit: str) -> str | None:
    """The fingerprint that a unit should run with; None where it has none."""
    content = files.read(f"{FINGERPRINTS}/{unit}.env") or b""
    return units.running_fingerprint(units.from_file(content))


def running(state: Mapping[str, str]) -> str | None:
    """Fingerprint of the unit's main process; None where there is no process."""
    return units.running_fingerprint(started_with(state))


def held_gpus(state: Mapping[str, str]) -> list[str]:
    """GPUs that the unit's main process was started with."""
    return units.listed(started_with(state), "CUDA_VISIBLE_DEVICES")


def journal(name: str, lines: int = 15) -> str:
    """The last lines that a unit logged, each cut to a length that can be read.

    Before them what the last hour's log says of trouble, if it is not in them.
    """
    log = log_lines(name, "--lines=200", "--since=-1h") or log_lines(name, f"--lines={lines}")
    trouble = [line for line in log[:-lines] if telling.is_trouble(line)]
    before = [*telling.telling(trouble, 5)[:5], "..."] if trouble else []
    return "\n".join(before + [line[:300] for line in log[-lines:]])


def log_lines(name: str, *options: str) -> list[str]:
    """Lines of a unit's log."""
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--unit={name}", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return ["(journalctl did not answer within 30 s)"]
    return done.stdout.strip().splitlines()


def is_masked(name: str) -> bool:
    """Whether a unit is linked to /dev/null."""
    path = Path(UNIT_DIRECTORY) / name
    return path.is_symlink() and str(path.resolve()) == "/dev/null"
