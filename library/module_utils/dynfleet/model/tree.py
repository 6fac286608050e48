"""A model's directories: one a revision, side by side, and the link that says which one is used.

``/srv/models/llama`` is a link to ``llama.0123456789ab``. That directory holds the files and a
stamp of what was checked; it is made as ``.llama.0123456789ab.partial`` and named in one step.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet import nofollow
from ansible.module_utils.dynfleet.model.manifest import NEEDED, File

STAMP = ".dynamo-model.json"
AT_FDCWD, RENAME_EXCHANGE = -100, 2


class TreeError(Exception):
    """The directories are not as they have to be; the message says what to do."""


class Tree:
    """The directories of one model. path: as workers are told it. identity: of the revision."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        parent, name = path.parent, path.name
        self.final = parent / f"{name}.{identity}"
        self.staging = parent / f".{name}.{identity}.partial"
        self.lock = parent / f".{name}.lock"

    def others(self) -> list[Path]:
        """Other revisions that are whole."""
        found = self.path.parent.glob(f"{self.path.name}.*")
        return sorted(p for p in found if p != self.final and (p / STAMP).is_file())

    def left(self) -> list[Path]:
        """Staging directories of other revisions."""
        found = self.path.parent.glob(f".{self.path.name}.*.partial")
        return sorted(p for p in found if p != self.staging)

    def linked(self) -> bool:
        """Whether the link says this revision."""
        return self.path.is_symlink() and str(self.path.readlink()) == self.final.name

    def refuse(self) -> None:
        """Raises TreeError where something of the site's is in the way."""
        if self.path.is_symlink() or not self.path.exists():
            return
        empty = self.path.is_dir() and not any(self.path.iterdir())
        if not empty and not (self.path / NEEDED).is_file():
            raise TreeError(
                f"{self.path} is there and holds no model (no {NEEDED}): name a directory of the "
                "model's own"
            )
        if os.path.ismount(self.path):
            raise TreeError(f"{self.path} is a mount point: name a directory below it")


def read_stamp(directory: Path) -> dict[str, Any]:
    """What was checked, by path; empty where there is no stamp."""
    try:
        content = json.loads((directory / STAMP).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def stamped(directory: Path, stamp: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and digest of each file that is as it was when it was checked."""
    for path, entry in stamp.items():
        try:
            info = (directory / path).lstat()
        except OSError:
            continue
        if [info.st_size, info.st_mtime_ns] == [entry.get("size"), entry.get("mtime_ns")]:
            yield path, str(entry.get("digest"))


def listed(stamp: dict[str, Any]) -> list[File]:
    """The files of a stamp: of a revision of the hub, whose list is asked for once."""
    return [
        File(path, entry["size"], *entry["digest"].split(":", 1))
        for path, entry in sorted(stamp.items())
    ]


def write_stamp(directory: Path, files: Sequence[File], source: str) -> None:
    """Note what was checked; the last file of a directory."""
    entries = {}
    for file in files:
        info = (directory / file.path).stat()
        entries[file.path] = {
            "size": info.st_size,
            "mtime_ns": info.st_mtime_ns,
            "digest": file.name,
        }
    new = directory / f"{STAMP}.new"
    with new.open("w") as out:
        json.dump({"source": source, "files": entries}, out, indent=1)
        os.fchmod(out.fileno(), 0o644)
        out.flush()
        os.fsync(out.fileno())
    new.replace(directory / STAMP)


def sync(directory: Path) -> None:
    """Make the names in a directory safe on disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step (renameat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise TreeError(f"{one} and {other} cannot be swapped: {os.strerror(number)}")


def purge(directory: Path, keep: Sequence[str]) -> None:
    """Remove files that are none of these paths: the journal, and what was there before."""
    for path in directory.rglob("*"):
        if not path.is_dir() and str(path.relative_to(directory)) not in keep:
            path.unlink()


def name_staging(tree: Tree, staging: Path) -> None:
    """Give the staging directory its name; a damaged directory of that name goes.

    staging: a path to it that nobody can lead elsewhere. Raises TreeError where its own name was.
    """
    for directory in (staging, *(p for p in staging.rglob("*") if p.is_dir())):
        directory.chmod(0o755)
        sync(directory)
    # Whatever it is that has the name: a link goes, and what it names stays.
    if os.path.lexists(tree.final):
        exchange(tree.staging, tree.final)
        nofollow.remove_tree(tree.staging)
    else:
        tree.staging.rename(tree.final)
    if not nofollow.same(tree.final, staging):
        raise TreeError(
            f"{tree.staging} was renamed or replaced while it was filled: see who can write to "
            f"{tree.path.parent}"
        )
    sync(tree.path.parent)


def switch(tree: Tree) -> None:
    """Point the link at the revision; a directory of the site's is kept under another name."""
    new = tree.path.parent / f".{tree.path.name}.link"
    new.unlink(missing_ok=True)
    new.symlink_to(tree.final.name)
    if tree.path.is_dir() and not tree.path.is_symlink():
        exchange(new, tree.path)
        if any(new.iterdir()):
            kept = time.strftime(f"{tree.path.name}.replaced-%Y%m%dT%H%M%S")
            new.rename(tree.path.parent / kept)
        else:
            new.rmdir()
    else:
        new.replace(tree.path)
    sync(tree.path.parent)
