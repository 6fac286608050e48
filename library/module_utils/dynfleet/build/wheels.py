"""Wheels that a build made: those that were expected, whole, and for this Python."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from email.parser import HeaderParser
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.build.errors import BuildError

_RUN = re.compile(r"[-_.]+")


@dataclass(frozen=True)
class Wheel:
    """A wheel: file name, absolute path, and name and version as its metadata has them."""

    file: str
    path: str
    name: str
    version: str
    sha256: str

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def digest(path: Path) -> str:
    """sha256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def metadata(path: Path) -> tuple[str, str]:
    """Name and version of a wheel. Raises BuildError where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
            text = archive.read(names[0]).decode() if len(names) == 1 else ""
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise BuildError(f"{path.name} cannot be read: {error}") from error
    headers = HeaderParser().parsestr(text)
    if not headers["Name"] or not headers["Version"]:
        raise BuildError(f"{path.name} has no METADATA with a name and a version")
    return headers["Name"], headers["Version"]


def fits(file: str, python: str) -> bool:
    """Whether a wheel is for a Python (``X.Y``): its own version, a stable ABI, or any."""
    tags = file[: -len(".whl")].split("-")
    if len(tags) < 5:
        return False
    pythons, abis = tags[-3].split("."), tags[-2].split(".")
    own = "cp" + python.replace(".", "")
    return own in pythons or "py3" in pythons or "abi3" in abis


def same_name(file: str, name: str, version: str) -> bool:
    """Whether a file is named after its content (PEP 427)."""
    have = file.split("-")
    return len(have) >= 5 and (
        _RUN.sub("_", have[0]).lower() == _RUN.sub("_", name).lower()
        and _RUN.sub("_", have[1]).lower() == _RUN.sub("_", version).lower()
    )


def inspect(directory: Path, expected: Sequence[str], python: str) -> list[Wheel]:
    """Every wheel of a directory, checked. Raises BuildError."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    names = [path.name for path in files]
    held = ", ".join(names) or "nothing"
    for pattern in expected:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise BuildError(f"no wheel {pattern} was made; there is {held}")
    found = []
    for path in files:
        if not any(fnmatchcase(path.name, pattern) for pattern in expected):
            raise BuildError(f"{path.name} was made, expected is only {', '.join(expected)}")
        name, version = metadata(path)
        if not same_name(path.name, name, version):
            raise BuildError(f"{path.name} holds {name} {version}: a wheel that was renamed")
        if not fits(path.name, python):
            raise BuildError(f"{path.name} is not for Python {python}, which it was made with")
        found.append(Wheel(path.name, str(path), name, version, digest(path)))
    return found


def intact(wheels: Iterable[Wheel]) -> bool:
    """Whether the wheels of an earlier build are still there as they were."""
    return all(
        Path(item.path).is_file() and digest(Path(item.path)) == item.sha256 for item in wheels
    )
