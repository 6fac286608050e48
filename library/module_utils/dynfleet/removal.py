"""What of ours is on a host, and its removal: never another file system's, never a model."""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

# Files of FlexKV's SSD tier, and the glob patterns of our units.
SSD_FILES = "flexkv_ssdcache_*.bin"
UNIT_FILES = (
    "/etc/systemd/system/dynamo.target",
    "/etc/systemd/system/dynamo.target.wants",
    "/etc/systemd/system/dynamo-*.service",
    "/etc/systemd/system/dynamo-*.service.d",
    "/etc/systemd/system/dynamo-*.socket",
    "/etc/systemd/system/dynamo-*.timer",
)


def existing(patterns: Sequence[str]) -> list[str]:
    """Paths that are there, of glob patterns."""
    return sorted(
        {path for pattern in patterns for path in glob.glob(pattern)}  # noqa: PTH207 - absolute
    )


def ssd_directories(plan: str) -> list[str]:
    """SSD directories of the workers in a plan (its path); none where there is no plan."""
    try:
        workers = json.loads(Path(plan).read_text()).get("workers", [])
    except (OSError, ValueError):
        return []
    return sorted({path for worker in workers for path in worker.get("ssd_dirs") or []})


def keeps(path: Path, keep: Sequence[str]) -> bool:
    """Whether a path is one that is kept, or has one of these beneath it."""
    return any(path == Path(kept) or path in Path(kept).parents for kept in keep if kept)


def remove(path: Path, keep: Sequence[str] = (), act: bool = True) -> list[str]:
    """Remove a file or a tree; returns what was left of it and why.

    A mount point is left with all that is on it, and so is what ``keep`` names. act False: only
    say.
    """
    if path.is_symlink() or not path.is_dir():
        if act:
            path.unlink(missing_ok=True)
        return []
    if path.is_mount():
        return [f"{path} (a mount point)"]
    if path in [Path(kept) for kept in keep]:
        return [f"{path} (kept)"]
    # The usual tree holds neither: removed at a stroke.
    mounts = [
        Path(folder) / name
        for folder, folders, _ in os.walk(path)
        for name in folders
        if (Path(folder) / name).is_mount()
    ]
    if not mounts and not keeps(path, keep):
        if act:
            shutil.rmtree(path)
        return []
    left = [line for child in sorted(path.iterdir()) for line in remove(child, keep, act)]
    if act and not left:
        path.rmdir()
    return left


def remove_ssd_files(directory: Path, act: bool = True) -> list[str]:
    """Remove a worker's SSD tier, and its directory where nothing else is in it; what went."""
    if not directory.is_dir():
        return []
    gone = existing([f"{glob.escape(str(directory))}/{SSD_FILES}"])
    if act:
        for path in gone:
            Path(path).unlink(missing_ok=True)
        if not any(directory.iterdir()) and not directory.is_mount():
            directory.rmdir()
    return gone
