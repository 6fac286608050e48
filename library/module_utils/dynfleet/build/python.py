"""The Python environment of a build: made from a lock file with hashes, or an interpreter as is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ansible.module_utils.dynfleet.build.command import CommandFailed, Runner
from ansible.module_utils.dynfleet.build.errors import BuildError


def version(python: str) -> str:
    """``X.Y`` of an interpreter. Raises BuildError where it does not run."""
    if python == sys.executable:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-c", ask], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{python} does not run as a Python: {error}") from error
    return done.stdout.strip()


def make(runner: Runner, python: str, lock: str, place: Path, cache: Path) -> None:
    """Make a virtual environment of exactly what a lock file names.

    pip comes from the system's Python, for it reads the index and the proxy of the host from
    where the distribution's tools have them. Downloads are kept: a run that was cut off goes on.
    """
    shutil.rmtree(place, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    requirements = place.with_name("requirements.txt")
    requirements.write_text(lock, encoding="utf-8")
    runner.run([python, "-m", "venv", "--without-pip", str(place)])
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python")]
    try:
        runner.run(
            [
                *pip,
                *("install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile"),
                *("--cache-dir", str(cache), "--requirement", str(requirements)),
            ]
        )
    except CommandFailed as error:
        raise CommandFailed(f"pip: {error}") from error
