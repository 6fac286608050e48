"""How far each file of a staging directory has come; on disk, so that another run goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.model.manifest import File

NAME = ".dynamo-journal.json"
# Bytes of one request: few for a hub that counts them, and still several at once of a large file.
PART = 1 << 30


@dataclass
class Part:
    """Bytes start to end of a file, of which the first `done` are on disk."""

    start: int
    end: int
    done: int = 0
    validator: str = ""

    @property
    def left(self) -> int:
        """Bytes that are missing."""
        return self.end - self.start - self.done


@dataclass
class Record:
    """A file on its way.

    candidates: files of this host that may be the same one. verified: modification time in
    nanoseconds of the file whose digest was right. resumed: bytes are from an earlier run.
    """

    file: File
    candidates: list[Path] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    verified: int | None = None
    resumed: bool = False

    def anew(self, part: int = PART) -> None:
        """Forget what was had."""
        starts = range(0, self.file.size, part)
        self.parts = [Part(start, min(start + part, self.file.size)) for start in starts]
        self.verified, self.resumed = None, False

    @property
    def have(self) -> int:
        """Bytes on disk."""
        return self.file.size if self.verified is not None else sum(p.done for p in self.parts)


def _stored(record: Record, entry: Any, path: Path) -> None:
    """Take over what the journal says of a file, as far as the file agrees."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    if entry.get("digest") != record.file.name or info.st_size != record.file.size:
        return
    if entry.get("verified") == info.st_mtime_ns:
        record.verified = info.st_mtime_ns
    elif parts := [Part(*item) for item in entry.get("parts", ())]:
        record.parts = parts
        record.resumed = any(item.done for item in parts)


def load(staging: Path, files: Sequence[File], part: int = PART) -> list[Record]:
    """A record a file; what an earlier run left counts where journal and disk agree."""
    records = [Record(file) for file in files]
    for record in records:
        record.anew(part)
    try:
        known = json.loads((staging / NAME).read_text())["files"]
        for record in records:
            _stored(record, known.get(record.file.path, {}), staging / record.file.path)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        # Cut short, or of another version: what it would have spared is fetched again.
        for record in records:
            record.anew(part)
    return records


def unshare(staging: Path, records: Sequence[Record]) -> None:
    """Drop unfinished files that have another name too: what is written would change both."""
    for record in records:
        path = staging / record.file.path
        if record.verified is None and path.is_file() and path.stat().st_nlink > 1:
            path.unlink()
            record.anew()


def summary(records: Sequence[Record], now: float | None = None) -> dict[str, Any]:
    """Figures of the progress: bytes, files whose digest was right, and when (seconds)."""
    return {
        "time": time.time() if now is None else now,
        "bytes": sum(record.have for record in records),
        "total": sum(record.file.size for record in records),
        "checked": sum(record.verified is not None for record in records),
        "count": len(records),
    }


def save(staging: Path, records: Sequence[Record]) -> None:
    """Write the journal in one step."""
    files = {
        record.file.path: {
            "digest": record.file.name,
            "verified": record.verified,
            "parts": [[p.start, p.end, p.done, p.validator] for p in record.parts],
        }
        for record in records
    }
    new = staging / f"{NAME}.new"
    with new.open("w") as out:
        json.dump({**summary(records), "files": files}, out)
        out.flush()
        os.fsync(out.fileno())
    new.replace(staging / NAME)
