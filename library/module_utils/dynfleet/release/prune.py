"""Which old releases may go: none that is current, was it before, is wanted, or is in use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from ansible.module_utils.dynfleet.release import manifest

PROC = Path("/proc")


def in_use(releases: Path, proc: Path = PROC) -> set[str]:
    """Names of the releases that a running process was started from or has loaded a file of."""
    prefix = os.fsencode(f"{releases}/")
    found: set[str] = set()
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        # The environment alone is not enough: a process may write over it to show another name.
        for part in ("cmdline", "environ", "maps"):
            with suppress(OSError):
                found.update(_named((process / part).read_bytes(), prefix))
    return found


def _named(content: bytes, prefix: bytes) -> Iterator[str]:
    for piece in content.split(prefix)[1:]:
        for end in (b"\0", b"\n", b":", b" "):
            piece = piece.split(end, 1)[0]  # noqa: PLW2901 - cut at whichever comes first
        yield os.fsdecode(piece.split(b"/", 1)[0])


def removable(
    releases: Path, keep: int, protected: Collection[str], parts: Collection[str]
) -> list[Path]:
    """What may go: releases over the number to keep, the oldest, and what this host could not go
    back to: half-made ones, those that lack a part, those without parts.

    protected: names that stay whatever their age; they count, so that fewer others stay. parts:
    what this host needs of a release.
    """

    def made(path: Path) -> float:
        return max((path / part / manifest.FILE).stat().st_mtime for part in parts)

    found = [path for path in releases.iterdir() if path.is_dir() and path.name not in protected]
    whole = [path for path in found if all(manifest.read(path / part) for part in parts)]
    whole.sort(key=made, reverse=True)
    kept = whole[: max(keep - len(protected), 0)]
    return sorted(path for path in found if path not in kept)


def unused(
    releases: Path, keep: int, protected: Collection[str], parts: Collection[str]
) -> list[Path]:
    """The same, without what runs; processes are only looked at where there is something."""
    if not releases.is_dir() or not removable(releases, keep, protected, parts):
        return []
    return removable(releases, keep, {*protected, *in_use(releases)}, parts)


def remove(path: Path) -> None:
    """Remove a release: it stops being one first, so that a killed run leaves no broken one."""
    for part in path.glob(f"*/{manifest.FILE}"):
        part.unlink()
    shutil.rmtree(path)
