"""systemd as a module sees it: bounded calls, what a unit's process runs with, what it logged."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.module_utils.dynfleet import files, units

UNIT_DIRECTORY = "/etc/systemd/system/"


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


def running(state: dict[str, str]) -> str | None:
    """Fingerprint of the unit's main process; None where there is no process."""
    pid = int(state.get("MainPID") or 0)
    if pid == 0:
        return None
    return units.running_fingerprint(files.read(f"/proc/{pid}/environ") or b"")


def held_gpus(state: dict[str, str]) -> list[str]:
    """GPUs that the unit's main process was started with."""
    pid = int(state.get("MainPID") or 0)
    content = files.read(f"/proc/{pid}/environ") if pid else None
    return units.environment(content or b"", "CUDA_VISIBLE_DEVICES")


def journal(name: str, lines: int = 15) -> str:
    """The last lines that a unit logged, each cut to a length that can be read."""
    logged = subprocess.run(
        ["journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    ).stdout
    return "\n".join(line[:300] for line in logged.strip().splitlines())


def is_masked(name: str) -> bool:
    """Whether a unit is linked to /dev/null."""
    path = Path(UNIT_DIRECTORY) / name
    return path.is_symlink() and str(path.resolve()) == "/dev/null"
