"""What a sweep kills, always with SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from drills.fleet import Fleet

# Of what sshd has started on a host, Python is Ansible's: its modules, one process each. The probe
# that watches the roll is none of its turns.
MODULES = """
for path in /proc/[0-9]*; do
  case "$(cat $path/comm 2>/dev/null)" in python3*) ;; *) continue ;; esac
  grep -qE "ssh.service|session-" $path/cgroup 2>/dev/null || continue
  grep -qaE "roll_probe|async_wrapper" $path/cmdline 2>/dev/null && continue
  kill -9 ${path#/proc/} 2>/dev/null && echo ${path#/proc/}
done
true
"""


def connections(fleet: Fleet) -> list[int]:
    """Processes of this lab's shared ssh connections."""
    mark = str(fleet.state / "ssh" / "cp").encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in line and line.startswith(b"ssh"):
                found.append(int(entry.name))
    return found


def descendants(root: int) -> list[int]:
    """Processes below a process: Ansible's own workers have sessions of their own."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                below.setdefault(int(parent), []).append(int(entry.name))
    found = list(below.get(root, ()))
    for number in found:
        found += below.get(number, ())
    return found


def controller(fleet: Fleet, process: subprocess.Popen[Any]) -> None:
    """Kill a run, all that it has started, and its connections to the hosts."""
    for number in (process.pid, *descendants(process.pid), *connections(fleet)):
        with suppress(ProcessLookupError):  # one may have ended with the other
            os.kill(number, signal.SIGKILL)


def modules(fleet: Fleet, process: subprocess.Popen[Any]) -> int:
    """Kill the modules that run on any host, as soon as one does; how many there were.

    process: the run that they belong to. 0 where it ended first.
    """
    while process.poll() is None:
        if killed := sum(len(fleet.ssh(host, MODULES).split()) for host in fleet.hosts):
            return killed
        time.sleep(0.1)
    return 0
