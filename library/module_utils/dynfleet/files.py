"""A set of files and directories: compare with the disk, write what differs."""

from __future__ import annotations

import glob
import grp
import hashlib
import pwd
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet import nofollow


def read(path: str) -> bytes | None:
    """Content of a regular file, or None where there is none."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # the second: /proc of a process that ends
        return None


def sha256_of(path: Path) -> str:
    """Digest of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def owner_ids(owner: str, group: str) -> tuple[int, int]:
    """Numeric ids of two names. Raises KeyError naming the one that does not exist."""
    return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid


def attributes_differ(path: str, item: Mapping[str, Any]) -> bool:
    """Whether owner, group or mode on disk are not the wanted ones. Raises UnsafePath."""
    try:
        info = nofollow.status(path)
    except FileNotFoundError:
        return True
    try:
        ids = owner_ids(item["owner"], item["group"])
    except KeyError:  # not there yet in check mode: it will be made
        return True
    return (info.st_uid, info.st_gid) != ids or stat.S_IMODE(info.st_mode) != int(item["mode"], 8)


def stale_files(patterns: Sequence[str], keep: Sequence[str]) -> list[str]:
    """Files that match a pattern and are not wanted."""
    found = {path for pattern in patterns for path in glob.glob(pattern)}  # noqa: PTH207 - absolute
    return sorted(found - set(keep))


def make_parents(path: Path) -> None:
    """Make the missing directories above a path, for all to enter whatever the umask is."""
    with nofollow.parent(path, make=True):
        pass


def make_directory(item: Mapping[str, Any]) -> None:
    """Make a directory with its parents and give it owner, group and mode. Raises UnsafePath."""
    ids = owner_ids(item["owner"], item["group"])
    nofollow.make_directory(item["path"], *ids, int(item["mode"], 8))


def write(item: Mapping[str, Any]) -> None:
    """Replace a file in one step (nofollow.write). Raises UnsafePath."""
    ids = owner_ids(item["owner"], item["group"])
    nofollow.write(item["path"], item["content"].encode(), *ids, int(item["mode"], 8))


def diff_entry(item: Mapping[str, Any], before: bytes | None) -> dict[str, str]:
    """One entry of Ansible's ``diff`` for a file; a secret's content is withheld."""
    old, new = (before or b"").decode("utf-8", "replace"), item["content"]
    if item["secret"]:
        old, new = "" if before is None else "(old content withheld)\n", "(content withheld)\n"
    return {
        "before": old,
        "after": new,
        "before_header": item["path"] if before is not None else f"{item['path']} (absent)",
        "after_header": item["path"],
    }
