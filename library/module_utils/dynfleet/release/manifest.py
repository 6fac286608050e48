"""``manifest.json`` of a part of a release on a host: written last, it makes it a whole one.

A release is a directory of parts, ``frontend`` and ``worker``: a host has those it runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "manifest.json"


def read(path: Path) -> dict[str, Any] | None:
    """The manifest of a part's directory; None where it is not whole."""
    try:
        found: dict[str, Any] = json.loads((path / FILE).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found


def made_for(path: Path, python: str) -> bool:
    """Whether a directory is a whole part for this Python (``X.Y``)."""
    found = read(path)
    return found is not None and str(found["python"]).startswith(f"{python}.")


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write it in one step, and to the disk."""
    temporary = path / f"{FILE}.new"
    with temporary.open("w") as out:
        json.dump(content, out, indent=1)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(path / FILE)
