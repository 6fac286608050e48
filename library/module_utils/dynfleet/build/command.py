"""Commands of a build: nothing inherited that is not meant to be, bounded, all output in a log."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# How a host reaches the network, and whom it trusts: kept. All else is not.
KEPT = (
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
)
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
LINES, WIDTH = 20, 400
# Seconds for a question; only a hung disk takes longer.
QUICK = 600


class CommandFailed(Exception):
    """A command ended with an error, could not be started or took too long; says which."""


def environment(inherited: Mapping[str, str], home: Path) -> dict[str, str]:
    """What every command gets.

    home: a directory of the build, so that no file of a user's has a say.
    """
    return {
        **{name: inherited[name] for name in KEPT if inherited.get(name)},
        "PATH": PATH,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        # Never a question to a terminal that is not there.
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        # A tag that names the build needs somebody who sets it.
        "GIT_AUTHOR_NAME": "build",
        "GIT_AUTHOR_EMAIL": "build@localhost",
        "GIT_COMMITTER_NAME": "build",
        "GIT_COMMITTER_EMAIL": "build@localhost",
    }


@dataclass
class Runner:
    """Runs the commands of one stage.

    log: gets their output. env: of every command. deadline: by time.monotonic. lock: a file
    handle that commands inherit, so that a build whose parent was killed stays locked until its
    commands have ended; -1 for none.
    """

    log: Path
    env: Mapping[str, str]
    deadline: float
    lock: int = -1
    cwd: Path = field(default_factory=Path)

    def note(self, text: str) -> None:
        """Write a line into the log."""
        with self.log.open("a", encoding="utf-8") as out:
            out.write(f"{text}\n")

    def run(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Run a command to its end. Raises CommandFailed."""
        with self.log.open("ab") as out:
            self._run(argv, env, cwd, out.fileno())

    def ask(self, argv: Sequence[str], cwd: Path | None = None) -> str | None:
        """What a quick command prints; None where it ends with an error. Raises CommandFailed."""
        try:
            done = subprocess.run(
                argv,
                env=dict(self.env),
                cwd=cwd or self.cwd,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=QUICK,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandFailed(f"{argv[0]} does not answer: {error}") from error
        return done.stdout if done.returncode == 0 else None

    def _run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: Path | None,
        out: int,
    ) -> None:
        self.note(f"$ {' '.join(argv)}")
        begun = time.monotonic()
        try:
            process = subprocess.Popen(
                argv,
                env={**self.env, **(env or {})},
                cwd=cwd or self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=(self.lock,) if self.lock >= 0 else (),
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
        try:
            code = process.wait(timeout=max(0.0, self.deadline - begun))
        except subprocess.TimeoutExpired:
            raise CommandFailed(
                f"{argv[0]} was ended after {time.monotonic() - begun:.0f} s: the time for the "
                "build was over"
            ) from None
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code < 0:
            raise CommandFailed(f"{argv[0]} was ended by signal {-code}{memory_hint(-code)}")
        if code:
            raise CommandFailed(f"{argv[0]} ended with status {code}")


def memory_hint(number: int) -> str:
    """What a SIGKILL that is not ours mostly means."""
    return " (out of memory? lower the number of jobs)" if number == signal.SIGKILL else ""


def last_lines(log: Path) -> str:
    """The end of a log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(line[:WIDTH] for line in lines[-LINES:])
