"""The archive of a bundle: written the same each time, read once from front to back."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Optional

from ansible.module_utils.dynfleet.bundle import manifest
from ansible.module_utils.dynfleet.bundle.manifest import BundleError
from ansible.module_utils.dynfleet.files import sha256_of

FILE = manifest.FILE
BLOCK = 1 << 20
# A manifest of some thousand files is well below this.
MOST_MANIFEST = 64 << 20
Sink = Callable[[str], Optional[IO[bytes]]]


def write(path: Path, files: Mapping[str, Path], content: str) -> str:
    """Write an archive in one step; its sha256. files: source by path in the bundle; content: the
    manifest's text, which is put first. No owner or time of this machine goes into it."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as out:
            for name, text in ((FILE, content), (manifest.SUMS, manifest.sums(content))):
                data = text.encode()
                out.addfile(member(name, len(data)), io.BytesIO(data))
            for name, source in sorted(files.items()):
                with source.open("rb") as stream:
                    out.addfile(member(name, source.stat().st_size), stream)
        raw.flush()
        os.fsync(raw.fileno())
    sha256 = sha256_of(temporary)
    temporary.replace(path)
    return sha256


def member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive to read; whatever is wrong with it as such is said of it."""
    try:
        with tarfile.open(path, mode="r:") as found:
            yield found
    except FileNotFoundError:
        raise BundleError(f"{path} does not exist: playbooks/bundle.yml makes a bundle") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BundleError(
            f"{path} cannot be read to its end: {error}. It was cut off or changed; compare it "
            f"with {path}.sha256 and copy it again"
        ) from error


def head(path: Path) -> str:
    """The manifest's text, which is the first file: the rest is not read."""
    with opened(path) as found:
        first = found.next()
        stream = found.extractfile(first) if first and first.name == FILE else None
        if first is None or stream is None:
            raise BundleError(f"{path} is no bundle: its first file is not {FILE}")
        if first.size > MOST_MANIFEST:
            raise BundleError(f"{path} is no bundle: its {FILE} has {first.size} bytes")
        return stream.read().decode("utf-8", "replace")


def read(path: Path, sink: Sink) -> dict[str, Any]:
    """Read every file, compare it with the manifest, and hand it to whoever wants it.

    sink: gives a file to write to for a path in the bundle, or None. Raises BundleError naming the
    first file that is not as the manifest says, with both digests; the manifest is returned.
    """
    text = head(path)
    content = manifest.parsed(text, str(path))
    left = dict(content["files"])
    with opened(path) as found:
        for info in found:
            if info.name == FILE:
                continue
            stream = found.extractfile(info) if info.isfile() else None
            if info.name == manifest.SUMS and stream:
                if stream.read().decode("utf-8", "replace") != manifest.sums(text):
                    raise BundleError(f"{path}: {manifest.SUMS} is not what {FILE} says")
                continue
            if info.name not in left or stream is None:
                raise BundleError(f"{path}: {info.name} is not in its {FILE}")
            item = left.pop(info.name)
            wanted = item["sha256"]
            if info.size != item["size"]:
                raise BundleError(
                    f"{path}: {info.name} has {info.size} bytes, {FILE} says {item['size']}. "
                    "Copy the bundle again from where it was made"
                )
            seen = _copied(stream, sink(info.name))
            if seen != wanted:
                raise BundleError(
                    f"{path}: {info.name} has sha256 {seen}, {FILE} says {wanted}. It was "
                    "changed after it was made; copy it again from where it was made"
                )
    if left:
        raise BundleError(
            f"{path}: {len(left)} files of its {FILE} are missing, the first is "
            f"{next(iter(left))}: it was cut off; copy it again"
        )
    return content


def _copied(stream: IO[bytes], out: IO[bytes] | None) -> str:
    """Digest of a stream, which is also written to a file if there is one."""
    digest = hashlib.sha256()
    try:
        for block in iter(lambda: stream.read(BLOCK), b""):
            digest.update(block)
            if out:
                _put(out, block)
    finally:
        if out:
            out.close()
    return digest.hexdigest()


def _put(out: IO[bytes], block: bytes) -> None:
    """Write, and tell a full disk from an archive that cannot be read."""
    try:
        out.write(block)
    except OSError as error:
        raise BundleError(f"cannot write {out.name}: {error}") from error
