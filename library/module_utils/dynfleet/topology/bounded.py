"""Commands and functions that cannot keep us waiting.

A process stuck in the driver does not die by SIGKILL until the driver lets go of it. So after a
timeout it is killed, waited for briefly and then left behind; nothing here waits for it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Seconds that a killed process gets to go away.
GRACE = 0.5


class Hung(Exception):
    """It did not answer in time; the message names it and the seconds."""


class Failed(Exception):
    """It ended with an error; the message is that error."""


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit status."""

    code: int
    out: str
    err: str


class Command:
    """A running command, in a session of its own and with the C locale.

    Raises FileNotFoundError or PermissionError where it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )

    def finish(self, deadline: float) -> Output:
        """Wait until `deadline` (time.monotonic). Raises Hung after it."""
        begun = time.monotonic()
        try:
            out, err = self.process.communicate(timeout=max(0.0, deadline - begun))
        except subprocess.TimeoutExpired:
            self.abandon()
            raise Hung(f"'{' '.join(self.command)}' did not answer in time") from None
        return Output(
            self.process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
        )

    def abandon(self) -> None:
        """Kill it with its children, wait briefly, then leave it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=GRACE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def call(function: Callable[[], Any], name: str, seconds: float) -> Any:
    """The JSON result of a function, run in a child process.

    Raises Hung after `seconds`, Failed with `Type: message` where the function raised or its
    process died.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(function, writing)
    os.close(writing)
    try:
        raw = _read_until(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        _reap(child)
    if raw is None:
        raise Hung(f"{name} did not answer within {seconds:g} s")
    if not raw:
        raise Failed(f"{name} ended without an answer")
    answer = json.loads(raw)
    if "error" in answer:
        raise Failed(answer["error"])
    return answer["value"]


def _answer(function: Callable[[], Any], writing: int) -> None:
    """In the child: run the function, write its result, leave without any clean-up."""
    try:
        try:
            text = json.dumps({"value": function()})
        except Exception as error:
            text = json.dumps({"error": f"{type(error).__name__}: {error}"})
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            pipe.write(text)
    finally:
        os._exit(0)


def _read_until(reading: int, deadline: float) -> bytes | None:
    """Everything up to the end of the pipe, None where the deadline came first."""
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        part = os.read(reading, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _reap(child: int) -> None:
    """Kill a child that still runs and wait for it briefly."""
    deadline = time.monotonic() + GRACE
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.005)
