"""What belongs to a model: each file with its size and digest, known before anything is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHA256 = "sha256"
# A Git blob's id: what the hub knows of a file that is not in LFS.
GIT = "git"
HEXADECIMAL = {SHA256: 64, GIT: 40}
# Without it no engine takes a directory for a model.
NEEDED = "config.json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ManifestError(Exception):
    """The manifest is none; the message says what is wrong with it."""


@dataclass(frozen=True)
class File:
    """A file of a model.

    path: relative to the model's directory, with ``/``. size: bytes. kind, digest: SHA256 or GIT,
    and the digest in hexadecimal.
    """

    path: str
    size: int
    kind: str
    digest: str

    @property
    def name(self) -> str:
        """The digest with its kind."""
        return f"{self.kind}:{self.digest}"


def total(files: Sequence[File]) -> int:
    """Bytes of all files."""
    return sum(file.size for file in files)


def unsafe(path: str) -> str:
    """Why a name may not be written below a directory, or nothing."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or "" in parts or "." in parts:
        return "is not a plain relative path"
    if _CONTROL.search(path):
        return "has a control character"
    # Ours lie beside the model's files: the stamp, the journal.
    return "begins like this project's own files" if path.startswith(".dynamo-") else ""


def _wrong(path: str, entry: Any) -> Iterator[str]:
    if reason := unsafe(path):
        yield f"{path!r} {reason}"
    if not isinstance(entry, Mapping):
        yield f"{path!r} is no object with size and sha256"
        return
    size, digest = entry.get("size"), entry.get(SHA256)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        yield f"{path!r} has the size {size!r}, wanted are bytes"
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        yield f"{path!r} has the sha256 {digest!r}, wanted are 64 hexadecimal digits"


def parse(content: Any) -> list[File]:
    """Read ``{"files": {PATH: {"size": BYTES, "sha256": DIGEST}}}``, in order of path.

    Raises ManifestError with the first things that are wrong.
    """
    files = content.get("files") if isinstance(content, Mapping) else None
    if not isinstance(files, Mapping) or not files:
        raise ManifestError("holds no object 'files' with at least one file")
    wrong = [reason for path, entry in files.items() for reason in _wrong(str(path), entry)]
    if NEEDED not in files:
        wrong.append(f"has no {NEEDED}, so it is no model's")
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ManifestError("; ".join(wrong[:3]) + more)
    return [
        File(str(path), files[path]["size"], SHA256, files[path][SHA256]) for path in sorted(files)
    ]


def content(files: Sequence[File]) -> dict[str, Any]:
    """What parse() reads; every digest has to be a sha256."""
    return {"files": {file.path: {"size": file.size, SHA256: file.digest} for file in files}}
