"""A controller's own notes of the rolls that it runs: which of them are dead, and which must stop.

A roll's lock lies in etcd and outlives its process for as long as its lease. It may be taken over
sooner only by who knows that the process is gone, and never while it may live. No name tells that:

* a host name is shared by CI runners and by cloned machines, a machine id by clones too
* a process id means something on one running kernel (boot id) in one PID namespace only
* the boot id and the namespace's number are shared by machines resumed from one snapshot
* with ``hidepid`` on /proc, the processes of other users cannot be seen

So a roll draws a random token, which goes into its lock, and leaves a note under it with its user
on the controller before it takes the lock. Dead is known only to who has that note, in the boot
and the PID namespace that it names, and does not find its process there. A machine that was cloned
before the roll has no such note; one that was cloned during it and started has another boot, and so
has the controller itself after a reset: there the lock's lease, or the operator, has to say.

The same note says that the roll must stop. It is read before every turn, so that hosts of the same
batch stop whatever became of a turn, even where its host can no longer be reached.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.day2 import marks


class Process(NamedTuple):
    """A process, told apart from every other one on this kernel."""

    boot: str
    namespace: str
    pid: int
    started: str  # clock ticks since boot; ids are used again


def started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty where it is gone."""
    try:
        # The second field may hold blanks and parentheses; what follows does not.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def process(pid: int) -> Process:
    """A process of this PID namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Process(boot, str(Path("/proc/self/ns/pid").stat().st_ino), pid, started(pid))


class Notes:
    """The notes of the user who runs playbooks, as the process of one playbook has them."""

    def __init__(self, folder: Path, me: Process) -> None:
        self.folder, self.me = folder, me

    def _all(self) -> Iterator[tuple[str, Process, dict[str, Any]]]:
        for path in sorted(self.folder.glob("*.json")):
            note = marks.read(str(path)) or {}
            try:
                yield path.stem, Process(**note["process"]), note
            except (KeyError, TypeError):  # of another version, or going away
                continue

    def _write(self, token: str, who: Process, stop: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{token}.json"
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps({"process": who._asdict(), "stop": stop}))
        new.replace(path)

    def begin(self) -> str:
        """Leave a note of a roll of this process; its token. Raises OSError."""
        token = secrets.token_hex(16)
        self._write(token, self.me, "")
        return token

    def gone(self) -> list[str]:
        """Tokens of rolls that are dead: of an ended process, and earlier ones of this process."""
        here = (self.me.boot, self.me.namespace)
        return [
            token
            for token, who, _ in self._all()
            if (who.boot, who.namespace) == here
            and (who == self.me or started(who.pid) != who.started)
        ]

    def mine(self) -> list[str]:
        """Tokens of the rolls of this process."""
        return [token for token, who, _ in self._all() if who == self.me]

    def forget(self, *tokens: str) -> None:
        """Remove notes."""
        for token in filter(None, tokens):
            (self.folder / f"{token}.json").unlink(missing_ok=True)

    def stop(self, why: str) -> None:
        """Say that the roll of this process must not begin another turn. Raises OSError."""
        for token, who, note in self._all():
            if who == self.me and not note.get("stop"):
                self._write(token, who, why)

    def stopped(self) -> str:
        """Why the roll of this process must not go on; empty where it may."""
        return next(
            (str(n["stop"]) for _, who, n in self._all() if who == self.me and n["stop"]), ""
        )
