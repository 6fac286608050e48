"""Files into a staging directory: several at once, in parts, each checked against its digest."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Callable

from ansible.module_utils.dynfleet.model import digests
from ansible.module_utils.dynfleet.model.journal import PART, Part, Record, save
from ansible.module_utils.dynfleet.model.piece import FetchError, Piece, Reader, Unanswered
from ansible.module_utils.dynfleet.model.pool import Pool, Stopped

# Attempts without a byte in between; the longest pause between two, in seconds, ours and one that
# the source asks for.
ATTEMPTS, LONGEST_PAUSE, LONGEST_WISH = 6, 30, 300
ON = "Another run goes on from here"
LATE = f"the time limit (model_timeout) is over. {ON}"
# How often the journal is written, in seconds.
EVERY = 1


def link(handle: int, path: Path) -> None:
    """Give an open file another name: it is the file that was looked at, whatever its name is now
    the name of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a directory named, link follows what it is given (linkat(2)).
        os.link(f"/proc/self/fd/{handle}", path.name, dst_dir_fd=directory)
    finally:
        os.close(directory)


class DigestError(FetchError):
    """A file is not the one that was named; it was removed."""


@contextmanager
def reported(
    staging: Path, records: Sequence[Record], measure: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Write the journal every now and then, and at the end. measure: brings records up to date."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(EVERY):
            measure()
            save(staging, records)

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()
        save(staging, records)


class Transfer:
    """One run over the files of a model.

    reader: where files are read from; None where they already lie in the staging directory, put
    there by rsync or a push. deadline: of time.monotonic().
    """

    def __init__(
        self,
        reader: Reader | None,
        records: Sequence[Record],
        staging: Path,
        jobs: int,
        deadline: float,
        *,
        part: int = PART,
    ) -> None:
        self.reader = reader
        self.records = records
        self.staging = staging
        self.deadline = deadline
        self.part = part
        self.pool = Pool(jobs)
        self.lock = threading.Lock()
        self.missing: dict[str, int] = {}

    def look(self) -> None:
        """Read the files of this host that may be wanted ones, and link those that are."""
        self._all(self._compare)

    def run(self) -> None:
        """Bring every file; raises FetchError with the rest left as far as it came."""
        self._all(self._begin)

    def _all(self, act: Callable[[int, Record], None]) -> None:
        for order, record in enumerate(self.records):
            if record.verified is None:
                self.pool.add(order, partial(act, order, record))
        with reported(self.staging, self.records):
            self.pool.run()

    def _go_on(self, _count: int = 0) -> None:
        """Raises where it is no use to go on."""
        if self.pool.stop.is_set():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise FetchError(LATE)

    def _path(self, record: Record) -> Path:
        return self.staging / record.file.path

    def _digest(self, record: Record, path: Path) -> str:
        return digests.of_file(path, record.file.kind, record.file.size, self._go_on)

    def _compare(self, _order: int, record: Record) -> None:
        """Link a file of this host if it is the same one."""
        candidates, record.candidates = record.candidates, []
        for candidate in candidates:
            with candidate.open("rb") as stream:
                opened = Path(f"/proc/self/fd/{stream.fileno()}")
                if self._digest(record, opened) != record.file.digest:
                    continue
                try:
                    link(stream.fileno(), self._path(record))
                except OSError as error:
                    # A link to another file system; a file that was removed meanwhile.
                    if error.errno not in (errno.EXDEV, errno.ENOENT):
                        raise
                    continue
            self._good(record)
            return

    def _begin(self, order: int, record: Record) -> None:
        """Ask for the first missing part."""
        path = self._path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.reader is None:
            self._finish(order, record)
            return
        with self.lock:
            todo = [part for part in record.parts if part.left]
            self.missing[record.file.path] = len(todo)
        if not todo:
            path.touch()
            self._finish(order, record)
            return
        self._fetch(order, record, todo[0], todo[1:])

    def _fetch(self, order: int, record: Record, part: Part, rest: list[Part]) -> None:
        """Fetch a part, with pauses and again where the source fails; then, of the last, finish.

        rest: other parts, asked for as soon as the source has shown that it gives parts.
        """
        failures = 0
        while part.left:
            before = part.done
            try:
                part = self._stream(order, record, part, rest)
            except Unanswered as error:
                failures = 1 if part.done > before else failures + 1
                if failures >= ATTEMPTS:
                    raise FetchError(
                        f"{error}; {ATTEMPTS} attempts brought no byte. {ON}"
                    ) from error
                pause = max(min(error.pause, LONGEST_WISH), min(2 ** (failures - 1), LONGEST_PAUSE))
                if self.pool.stop.wait(pause):
                    raise Stopped from error
        with self.lock:
            self.missing[record.file.path] -= 1
            last = self.missing[record.file.path] == 0
        if last:
            self._finish(order, record)

    def _stream(self, order: int, record: Record, part: Part, rest: list[Part]) -> Part:
        """Ask once for what a part lacks; the part that the answer went into."""
        assert self.reader is not None  # noqa: S101 - for the type checker
        piece = self.reader.open(
            record.file, part.start + part.done, part.end, part.validator if part.done else ""
        )
        try:
            if piece.whole:
                part = self._take_whole(record, part, rest)
            while rest:
                other = rest.pop(0)
                self.pool.add(order, partial(self._fetch, order, record, other, []))
            self._write(record, part, piece)
        finally:
            piece.close()
        return part

    def _take_whole(self, record: Record, part: Part, rest: list[Part]) -> Part:
        """What to do with an answer that is the whole file."""
        alone = len(record.parts) == 1
        with self.lock:
            first = self.missing[record.file.path] == len(rest) + 1 and not part.done
            if alone or first:
                # The source gives no parts, or has another file than before: all of it, now.
                rest.clear()
                record.parts = [Part(0, record.file.size)]
                record.resumed = False
                self.missing[record.file.path] = 1
                return record.parts[0]
        part.done, part.validator = 0, ""
        raise Unanswered(f"{record.file.path}: the source gives no parts of it, or has changed it")

    def _write(self, record: Record, part: Part, piece: Piece) -> None:
        """Write what comes to its place."""
        handle = os.open(self._path(record), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(handle).st_size != record.file.size:
                os.ftruncate(handle, record.file.size)
            part.validator = piece.validator
            for block in piece.blocks:
                self._go_on()
                todo = memoryview(block)[: part.left]
                while todo:
                    try:
                        count = os.pwrite(handle, todo, part.start + part.done)
                    except OSError as error:
                        raise FetchError(f"{self._path(record)}: {error.strerror}") from error
                    part.done += count
                    todo = todo[count:]
                if not part.left:
                    return
        finally:
            os.close(handle)
        raise Unanswered(f"{record.file.path}: broke off {part.left} bytes before the end")

    def _finish(self, order: int, record: Record) -> None:
        """Check the digest of a file that is there to its last byte."""
        path = self._path(record)
        if not path.is_file():
            raise FetchError(f"{path}: was not brought")
        found = self._digest(record, path)
        if found == record.file.digest:
            self._good(record)
            return
        path.unlink()
        resumed = record.resumed
        record.anew(self.part)
        if not resumed:
            raise DigestError(
                f"{record.file.path} came with {record.file.kind} {found}, wanted is "
                f"{record.file.digest}; it was removed"
            )
        # What an earlier run left was not the file's beginning: once more, from the source alone.
        self._begin(order, record)

    def _good(self, record: Record) -> None:
        """Make a file safe on disk and readable, and note it."""
        handle = os.open(self._path(record), os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(handle, 0o644)
            if os.geteuid() == 0:
                os.fchown(handle, 0, 0)
            os.fsync(handle)
            record.verified = os.fstat(handle).st_mtime_ns
        finally:
            os.close(handle)
