"""What of ours is on a host, and its removal: never another file system's, never what is kept.

Paths are compared by where they really are, whatever links, bind mounts, `..` or slashes they are
written with.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ansible.module_utils.dynfleet import nofollow, unit_names
from ansible.module_utils.dynfleet.topology import storage

# Files of FlexKV's SSD tier.
SSD_FILES = "flexkv_ssdcache_*.bin"
UNIT_DIRECTORY = "/etc/systemd/system"
_MOST_LINKS = 40


def existing(patterns: Sequence[str]) -> list[str]:
    """Paths that are there, of glob patterns."""
    return sorted(
        {path for pattern in patterns for path in glob.glob(pattern)}  # noqa: PTH207 - absolute
    )


def unit_files(directory: str = UNIT_DIRECTORY) -> list[str]:
    """Files of our units, their drop-ins, and the target's links to our units and no others."""
    path = Path(directory)
    if not path.is_dir():
        return []
    ours = [item for item in path.iterdir() if unit_names.is_file(item.name)]
    found = []
    for item in ours:
        linked = list(item.iterdir()) if item.name.endswith(".wants") and item.is_dir() else []
        foreign = [link for link in linked if not unit_names.is_unit(link.name)]
        found += [link for link in linked if link not in foreign] if foreign else [item]
    return sorted(map(str, found))


def ssd_directories(plan: str) -> list[str]:
    """SSD directories of the workers in a plan (its path); none where there is no plan."""
    try:
        workers = json.loads(Path(plan).read_text()).get("workers", [])
    except (OSError, ValueError):
        return []
    return sorted({path for worker in workers for path in worker.get("ssd_dirs") or []})


def names(path: str) -> list[str]:
    """Every link on the way to a path, and what it leads to; all with their real directories."""
    links: list[str] = []
    here, todo = Path("/"), [part for part in reversed(path.split("/")) if part]
    while todo:
        part = todo.pop()
        step = here.parent if part == ".." else here / part
        if not step.is_symlink() or len(links) > _MOST_LINKS:
            here = step
            continue
        links.append(str(step))
        target = str(step.readlink())
        here = Path("/") if target.startswith("/") else here
        todo += [part for part in reversed(target.split("/")) if part]
    return [*links, str(here)]


def with_revisions(path: str) -> list[str]:
    """A model's path with the directories of its revisions, which lie beside it (`PATH.*`)."""
    if not path:
        return []
    beside = {f"{glob.escape(name)}.*" for name in names(path) if name != "/"}
    return [path, *existing(sorted(beside))]


class Place(NamedTuple):
    """Where a path is: the device of its file system, and the path in that."""

    device: str
    path: str

    def holds(self, other: Place) -> bool:
        """Whether another place is this one or beneath it."""
        return self.device == other.device and (
            self.path in ("/", other.path) or other.path.startswith(f"{self.path}/")
        )


@dataclass
class Outcome:
    """Paths that went (or would), and what was left with the reason."""

    gone: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.gone += other.gone
        self.left += other.left


class Ground:
    """What may not be removed: mount points with all that is on them, and what is kept."""

    def __init__(self, keep: Sequence[str]) -> None:
        self.mounts = {mount.path: mount for mount in storage.mounts(Path("/"))}
        self.kept = [self.place(name) for path in keep if path for name in names(path)]

    def place(self, path: str) -> Place:
        """The place of a real path."""
        above = [path, *map(str, Path(path).parents)]
        mount = next((self.mounts[at] for at in above if at in self.mounts), None)
        if mount is None:
            return Place("", path)
        inner = path[len(mount.path.rstrip("/")) :]
        return Place(mount.number, mount.inner.rstrip("/") + inner or "/")

    def spared(self, path: str) -> str:
        """Why a path is left alone with all beneath it; empty where it is not."""
        if path in self.mounts:
            return "a mount point"
        place = self.place(path)
        return "kept" if any(kept.holds(place) for kept in self.kept) else ""

    def is_above(self, path: str) -> bool:
        """Whether something beneath a path is left alone."""
        place = self.place(path)
        return any(place.holds(kept) for kept in self.kept) or any(
            mount.startswith(f"{path}/") for mount in self.mounts
        )


def remove(path: Path, keep: Sequence[str] = (), act: bool = True) -> Outcome:
    """Remove a file or a tree, but no mount point and nothing of `keep`. act False: only say.

    A link goes, and what it names stays; a directory that it names is said to be left.
    """
    ground = Ground(keep)
    named = str(path.resolve()) if path.is_symlink() and path.is_dir() else ""
    try:
        with nofollow.parent(path) as (directory, name):
            real = str(Path(f"/proc/self/fd/{directory}").readlink() / name)
            done = _remove(directory, name, real, ground, act)
        if named and done.gone:
            done.left.append(f"{named} (only the link {path} to it was removed)")
        return done
    except FileNotFoundError:
        return Outcome()
    except nofollow.UnsafePath as error:
        return Outcome(left=[f"{path} ({error})"])


def _remove(directory: int, name: str, path: str, ground: Ground, act: bool) -> Outcome:
    info = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if why := ground.spared(path):
        return Outcome(left=[f"{path} ({why})"])
    if not stat.S_ISDIR(info.st_mode):
        if act:
            os.unlink(name, dir_fd=directory)
        return Outcome([path])
    if not ground.is_above(path):
        if act:
            nofollow.remove_tree_at(directory, name)
        return Outcome([path])
    done = Outcome()
    with nofollow.opened_at(directory, name) as inside:
        for child in nofollow.listed(inside):
            done.add(_remove(inside, child, f"{path}/{child}", ground, act))
    if done.left:
        return done
    if act:
        os.rmdir(name, dir_fd=directory)
    return Outcome([path])


def remove_ssd_files(directory: Path, act: bool = True) -> Outcome:
    """Remove a worker's SSD tier, and its directory where nothing else is in it."""
    try:
        with nofollow.opened(directory) as handle:
            found = nofollow.listed(handle)
            ours = sorted(fnmatch.filter(found, SSD_FILES))
            for name in ours if act else ():
                os.unlink(name, dir_fd=handle)
    except (FileNotFoundError, NotADirectoryError):
        return Outcome()
    except nofollow.UnsafePath as error:
        return Outcome(left=[f"{directory} ({error})"])
    done = Outcome([f"{directory}/{name}" for name in ours])
    if len(ours) == len(found):
        done.add(remove(directory, act=act))
        done.left = []  # a mount point of the site's, now empty
    return done
