"""Small files of the controller, read once however many hosts name them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def read_json(path: str) -> dict[str, Any]:
    """A JSON object; empty where the file is not there or is something else."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def is_file(path: str) -> bool:
    """Whether a path is a file that can be looked at."""
    try:
        return Path(path).is_file()
    except OSError:
        return False
