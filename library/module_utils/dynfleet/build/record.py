"""build.json, which makes a directory a build, and the state of one that is not finished."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.build.wheels import Wheel, intact

RECORD, STATE = "build.json", "state.json"


def sync(path: Path) -> None:
    """Have a file or directory on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON in one step."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.chmod(0o644)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, or half of one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def finished(directory: Path) -> dict[str, Any]:
    """The record of a build that is whole; empty where there is none, or a wheel was lost."""
    content = read(directory / RECORD)
    try:
        wheels = [Wheel(**item) for item in content.get("wheels", [])]
    except TypeError:
        return {}
    return content if wheels and intact(wheels) else {}


def finish(directory: Path, content: Mapping[str, Any], wheels: Iterable[Wheel]) -> None:
    """Make a directory a build: wheels first, the record last."""
    for wheel in wheels:
        Path(wheel.path).chmod(0o644)
        sync(Path(wheel.path))
    sync(directory / "wheels")
    write(directory / RECORD, content)
