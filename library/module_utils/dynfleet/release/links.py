"""The links ``current``, ``good`` and ``previous`` of a host's releases; each changes in one step.

``current`` is what units start from. ``good`` is the release that a roll last closed on: every unit
of the host ran it and served. ``previous`` is the one that was good before. A release that failed
becomes neither, so that a roll-back never leads to it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

NAMES = ("current", "good", "previous")


def target(link: Path) -> str:
    """What a link points to; empty where there is none."""
    return str(link.readlink()) if link.is_symlink() else ""


def read(root: Path = Path("/opt/dynamo")) -> dict[str, str]:
    """Id of the release behind each link; empty where there is none."""
    return {name: Path(target(root / name)).name for name in NAMES}


def point(link: Path, path: str) -> None:
    """Point a link at a path: a reader sees the old one or the new one."""
    temporary = link.parent / f".{link.name}.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path)
    temporary.replace(link)


def switch(root: Path, path: Path, running: Collection[str]) -> None:
    """Make a release the current one.

    running: names of the releases that processes run from. Where no roll has closed yet, what ran
    until now is the best that is known to go back to.
    """
    before = target(root / "current")
    if before and not target(root / "good") and Path(before).name in running:
        point(root / "good", before)
    point(root / "current", str(path))


def close(root: Path) -> None:
    """Note that the current release is good."""
    current, good = target(root / "current"), target(root / "good")
    if good and good != current:
        point(root / "previous", good)
    elif not good:
        # Of an earlier version of the project, for which it was whatever had been there before.
        (root / "previous").unlink(missing_ok=True)
    point(root / "good", current)


def back(root: Path) -> str:
    """The release that a roll-back goes to; empty where none is known."""
    current, good = target(root / "current"), target(root / "good")
    found = target(root / "previous") if good in ("", current) else good
    return "" if found == current else found
