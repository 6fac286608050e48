"""Files on the disk of a host, written from outside."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from ansible.module_utils.dynfleet.lab_host_files import File


def same(path: Path, wanted: File) -> bool:
    """Whether a file is as wanted; a link never is."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return wanted.content is None
    if wanted.content is None or not stat.S_ISREG(info.st_mode):
        return False
    return stat.S_IMODE(info.st_mode) == wanted.mode and path.read_bytes() == wanted.content


def replace(path: Path, wanted: File) -> None:
    """Write or remove a file. A link in its place is replaced, not followed: it would lead
    out of the host's disk."""
    if wanted.content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(wanted.content)
    Path(name).chmod(wanted.mode)
    Path(name).replace(path)
