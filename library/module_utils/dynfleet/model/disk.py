"""Files of a directory that the host sees, for example of a network file system."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ansible.module_utils.dynfleet.model.manifest import File
from ansible.module_utils.dynfleet.model.piece import FetchError, Piece

BLOCK = 4 << 20


class DiskReader:
    """Files below a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open(self, file: File, start: int, end: int, validator: str) -> Piece:
        """See Reader. A local error is final: a network file system asks again by itself."""
        path = self.directory / file.path
        try:
            info = path.stat()
        except OSError as error:
            raise FetchError(f"{path}: {error.strerror}") from error
        if info.st_size != file.size:
            raise FetchError(
                f"{path}: has {info.st_size} bytes, the list of files says {file.size}"
            )
        state = str(info.st_mtime_ns)
        changed = validator not in ("", state)
        blocks = _blocks(path, 0 if changed else start, file.size if changed else end)
        return Piece(blocks, changed, state, blocks.close)


def _blocks(path: Path, start: int, end: int) -> Generator[bytes, None, None]:
    try:
        with path.open("rb", buffering=0) as stream:
            stream.seek(start)
            while start < end and (block := stream.read(min(BLOCK, end - start))):
                start += len(block)
                yield block
    except OSError as error:
        raise FetchError(f"{path}: {error.strerror}") from error
