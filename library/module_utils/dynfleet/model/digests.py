"""Digests of files on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from ansible.module_utils.dynfleet.model.manifest import GIT

BLOCK = 4 << 20


def of_file(path: Path, kind: str, size: int, each: Callable[[int], None] = lambda _: None) -> str:
    """Digest of a file, in hexadecimal.

    kind: SHA256, or GIT for a Git blob (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
    size: bytes, part of the latter. each: called with the bytes of each block.
    """
    # Git chose SHA-1; it names the blob here, as the hub lists it.
    digest = hashlib.sha1(usedforsecurity=False) if kind == GIT else hashlib.sha256()
    if kind == GIT:
        digest.update(b"blob %d\0" % size)
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
            each(count)
    return digest.hexdigest()
