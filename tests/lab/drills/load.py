"""The load of the drills: tools/load in a process of its own, and its records by time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible.module_utils.dynfleet.load.record import Record

from drills import PROJECT
from drills.fleet import Fleet


class Load:
    """A running load."""

    def __init__(self, fleet: Fleet, streams: int, tokens: tuple[int, int]) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="dynfleet-load-")
        self._log = Path(self._place.name) / "log"
        options = ["--model", fleet.model, "--words", "--log", str(self._log)]
        # Three times the longest answer: a client that was left hanging gives up.
        options += ["--timeout", "60"]
        options += ["--streams", str(streams), "--tokens", *map(str, tokens)]
        self._process = subprocess.Popen(
            [sys.executable, PROJECT / "tools" / "load", *options, *fleet.frontends()],
            stdout=subprocess.DEVNULL,
        )

    def records(self) -> list[Record]:
        """Requests that have ended."""
        whole = self._log.read_text().rpartition("\n")[0] if self._log.exists() else ""
        return [Record(**json.loads(line)) for line in whole.splitlines()]

    def stop(self) -> None:
        """End it; answers under way are read to their end."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=180)

    def close(self) -> None:
        """End it at once, and remove its log."""
        self._process.kill()
        self._process.wait()
        self._place.cleanup()
