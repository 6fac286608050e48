"""The machine under the lab: its commands, mounts, locks and default route."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

NET = Path("/sys/class/net")


class LabError(Exception):
    """Something that only the user can mend; the text says what and how."""


def run(*command: str, text: str | None = None, timeout: float = 60) -> str:
    """Run a command and return what it prints. Failing, it says what the command said."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed; playbooks/lab_up.yml installs it") from None
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def mounts_below(path: Path) -> list[str]:
    """Mount points at a path and below it, the deepest last."""
    # Spaces and the like are written as octal escapes there.
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [p for p in points if p == str(path) or p.startswith(f"{path}/")]


def unmount_below(path: Path) -> None:
    """Unmount all of that."""
    for point in reversed(mounts_below(path)):
        run("umount", "--lazy", point)
    if left := mounts_below(path):
        raise LabError(f"{', '.join(left)}: still mounted; unmount it and run this again")


def default_mtu() -> int:
    """MTU of the machine's default route: larger packets of a host would be lost there."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "default") or "[]")
    if not routes:
        return 1500
    return int((NET / routes[0]["dev"] / "mtu").read_text())


def lock_directory(path: Path) -> int:
    """Hold a directory against a second run; the lock goes with the process."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)  # removed by the run that we waited for
