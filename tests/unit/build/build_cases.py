"""Small things to build: repositories on the local disk, and steps that make a wheel of nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.build.command import Runner, environment
from ansible.module_utils.dynfleet.build.inputs import Inputs, Step
from ansible.module_utils.dynfleet.build.make import Build

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Zips what Python calls a wheel; its content is the source's text, and the flag.
MAKE_WHEEL = """
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/example-1.0-py3-none-any.whl", "w") as out:
    out.writestr("example.txt", open("text").read() + os.environ.get("FLAG", ""))
    out.writestr("example-1.0.dist-info/METADATA", "Name: example\\nVersion: 1.0\\n")
"""


def git(place: Path, *command: str) -> str:
    """Run git in a directory."""
    who = ["-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", "-C", str(place), *who, *command],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


def repository(place: Path, files: Mapping[str, str]) -> str:
    """Make a repository; its first commit."""
    place.mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch=main")
    return commit(place, files)


def commit(place: Path, files: Mapping[str, str]) -> str:
    """Add a commit."""
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", "change")
    return git(place, "rev-parse", "HEAD")


def runner(place: Path, **options: Any) -> Runner:
    """Runs commands for a test."""
    place.mkdir(parents=True, exist_ok=True)
    env = environment({}, place)
    values = {"log": place / "log.txt", "env": env, "deadline": float("inf"), "cwd": place}
    return Runner(**{**values, **options})


def inputs(url: str, commit_: str, **other: Any) -> Inputs:
    """A build that makes one wheel."""
    values: dict[str, Any] = {
        "component": "example",
        "repository": url,
        "commit": commit_,
        "python": PYTHON,
        "steps": [Step("pack", ["{python}", "-c", MAKE_WHEEL, "{wheels}"])],
        "expected": ["example-*.whl"],
        **other,
    }
    return Inputs(**values)


def build(root: Path, what: Inputs, timeout: float = 60) -> Build:
    """A build in a directory."""
    return Build(what, root, sys.executable, {}, {"python": [sys.executable, "-V"]}, timeout, 0)
