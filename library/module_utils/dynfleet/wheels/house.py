"""The wheelhouse: a directory of releases, of which only some are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.dynfleet.wheels import origins
from ansible.module_utils.dynfleet.wheels.collect import Collection, Wanted

PARTIAL = ".partial"
LOCK = ".lock"


def releases(root: Path) -> list[Path]:
    """Directories of releases, the newest first; also half-made ones."""
    found = [
        path
        for path in root.iterdir()
        if path.is_dir() and (path.name.endswith(PARTIAL) or any(path.glob("*.whl")))
    ]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def is_whole(directory: Path) -> bool:
    """Whether a directory is a release: its record is there."""
    return (directory / origins.FILE).exists()


def unused(root: Path, release: str, keep: int) -> list[Path]:
    """What is over the number of releases to keep, the wanted one included, and what was left
    half-made by a run that wanted another one."""
    found = [path for path in releases(root) if path.name.removesuffix(PARTIAL) != release]
    whole = [path for path in found if not path.name.endswith(PARTIAL)]
    return whole[max(keep - 1, 0) :] + [path for path in found if path.name.endswith(PARTIAL)]


def collect(wanted: Wanted, root: Path, timeout: int, lock: int) -> dict[str, list[str]]:
    """Make a release's directory; what was loaded, and what was there already.

    timeout: seconds that one download may take. lock: handle of the wheelhouse's lock.

    Half of it stays after a failure or a kill, under another name: the next run goes on from it.
    """
    whole, partial = root / wanted.release, root / f"{wanted.release}{PARTIAL}"
    partial.mkdir(parents=True, exist_ok=True)
    collection = Collection(wanted, partial, lock)
    for other in releases(root):
        if other != partial:
            collection.link_from(other)
    loaded = collection.download(timeout)
    reused = sorted(set(collection.have) - set(loaded))
    collection.add_built()
    collection.finish()
    # One without its record, which no run of ours leaves.
    shutil.rmtree(whole, ignore_errors=True)
    partial.rename(whole)
    return {"loaded": loaded, "reused": reused}


def prune(root: Path, release: str, keep: int) -> list[str]:
    """Remove what is unused; the names of what went."""
    found = unused(root, release, keep)
    for path in found:
        shutil.rmtree(path)
    return [path.name for path in found]
