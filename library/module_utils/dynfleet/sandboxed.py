"""Run a program of ours as the service user, in the sandbox that a unit has."""

from __future__ import annotations

import pkgutil
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

USER = "dynamo"
# The user's own is hidden by a sandbox, which is another thing than not there.
HOME = "/var/lib/dynamo"
# Beyond the limit that systemd itself holds the program to.
MARGIN = 15


class SandboxError(Exception):
    """The program did not run to its end; the message says what was said."""


def settings(sandbox: str) -> list[str]:
    """The directives of a unit's text, without comments."""
    lines = (line.strip() for line in sandbox.splitlines())
    return [line for line in lines if line and not line.startswith(("#", ";", "["))]


def user_exists() -> bool:
    """Whether there is the service user (in check mode on a bare host there is none yet)."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def source(program: ModuleType) -> str:
    """Text of a module of ours. Ansible sends modules in a zip: it has to be imported by name."""
    text = pkgutil.get_data(program.__name__.rpartition(".")[0], Path(program.__file__ or "").name)
    if text is None:
        raise SandboxError(f"{program.__name__} has no source")
    return text.decode()


def command(
    python: str,
    arguments: Sequence[str],
    directives: Sequence[str],
    environment: Mapping[str, str],
    seconds: int,
) -> list[str]:
    """The command that runs a Python program from its standard input as a transient unit."""
    return [
        *("systemd-run", "--quiet", "--wait", "--pipe", "--collect"),
        *(
            f"--property={directive}"
            for directive in (f"User={USER}", f"Group={USER}", *directives)
        ),
        f"--property=RuntimeMaxSec={seconds}",
        *(f"--setenv={name}={value}" for name, value in {"HOME": HOME, **environment}.items()),
        *("--", python, "-I", "-", *arguments),
    ]


def run(
    program: ModuleType,
    arguments: Sequence[str],
    *,
    python: str,
    sandbox: str,
    extra: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    seconds: int = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a module of ours, which needs the standard library only, to its end.

    sandbox: text of directives; extra: more of them. Raises SandboxError where it does not end
    well, with what it said.
    """
    directives = [*settings(sandbox), *extra]
    try:
        done = subprocess.run(
            command(python, arguments, directives, environment or {}, seconds),
            input=source(program),
            capture_output=True,
            text=True,
            timeout=seconds + MARGIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SandboxError(
            f"it did not end within {seconds} s, and systemd could not end it"
        ) from None
    except OSError as error:
        raise SandboxError(f"systemd-run cannot be started: {error}") from error
    if done.returncode != 0:
        told = " ".join((done.stderr or done.stdout).split())[-600:]
        ended = f"it ended with {done.returncode}, or was ended after {seconds} s"
        raise SandboxError(told or ended)
    return done
