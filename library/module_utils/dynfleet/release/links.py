"""The links ``current`` and ``previous``: each changes in one step."""

from __future__ import annotations

from pathlib import Path


def target(link: Path) -> str:
    """What a link points to; empty where there is none."""
    return str(link.readlink()) if link.is_symlink() else ""


def point(link: Path, path: str) -> None:
    """Point a link at a path: a reader sees the old one or the new one."""
    temporary = link.parent / f".{link.name}.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path)
    temporary.replace(link)


def switch(root: Path, path: Path) -> None:
    """Make a release the current one, and note which was it before."""
    if before := target(root / "current"):
        point(root / "previous", before)
    point(root / "current", str(path))
