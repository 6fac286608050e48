"""Programs out of a release archive that is known by its digest."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ansible.module_utils.dynfleet.download import DownloadError, download


class ArchiveError(Exception):
    """The programs could not be installed; the message says why."""


def missing(directory: Path, programs: Sequence[str]) -> list[str]:
    """Programs that a directory lacks."""
    return [name for name in programs if not (directory / name).is_file()]


def extract(
    archive: Path, programs: Sequence[str], directory: Path, optional: Sequence[str] = ()
) -> None:
    """Put the archive's files of the given names into a directory, as executables.

    optional: names that the archive need not have.
    """
    with tarfile.open(archive) as opened:
        members = [member for member in opened.getmembers() if member.isfile()]
        for name in (*programs, *optional):
            found = [member for member in members if Path(member.name).name == name]
            if not found and name in optional:
                continue
            stream = opened.extractfile(found[0]) if len(found) == 1 else None
            if stream is None:
                raise ArchiveError(f"holds {len(found)} files named {name}, wanted is one")
            with stream, (directory / name).open("wb") as out:
                shutil.copyfileobj(stream, out)
                os.fchmod(out.fileno(), 0o755)
                out.flush()
                os.fsync(out.fileno())


def install(
    url: str,
    sha256: str,
    programs: Sequence[str],
    directory: Path,
    optional: Sequence[str] = (),
) -> None:
    """Make a directory of programs in one step: it is there whole, or not at all."""
    root = directory.parent
    for parent in (*reversed(root.parents), root):
        if not parent.exists():
            parent.mkdir(mode=0o755)
            parent.chmod(0o755)
    work = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=root))
    try:
        archive = work / "archive"
        try:
            download(url, sha256, archive)
        except DownloadError as error:
            raise ArchiveError(str(error)) from error
        unpacked = work / "programs"
        unpacked.mkdir()
        unpacked.chmod(0o755)
        try:
            extract(archive, programs, unpacked, optional)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ArchiveError(f"{url} cannot be unpacked: {error}") from error
        except ArchiveError as error:
            raise ArchiveError(f"{url} {error}") from error
        if directory.exists():
            shutil.rmtree(directory)
        unpacked.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)
