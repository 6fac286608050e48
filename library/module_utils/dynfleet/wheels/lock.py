"""Lock files: requirements with hashes, as pip and uv read them. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ansible.module_utils.dynfleet.wheels.names import WheelError, normalised

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|\\|$)")


@dataclass(frozen=True)
class Entry:
    """One pinned package. name: normalised; text: as in the file, with its hashes."""

    name: str
    version: str
    hashes: frozenset[str]
    text: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def name_of(part: str, python: str) -> str:
    """Name of the lock of a part of a release (``frontend``, ``worker``) for a Python (``X.Y``)."""
    return f"{part}-py{python}"


def python_of(name: str) -> str:
    """The Python that a lock is for, by its name."""
    return name.rpartition("-py")[2]


def part_of(name: str) -> str:
    """The part that a lock is for, by its name."""
    return name.rpartition("-py")[0]


def digest(text: str) -> str:
    """sha256 of a lock file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def parsed(text: str) -> list[Entry]:
    """The packages of a lock file. Raises WheelError for anything but a pin with hashes."""
    found = []
    for lines in re.findall(r"^(?![ \t]*(?:#|$))(?:.*\\\n)*.*\n?", text, re.MULTILINE):
        pin = _PIN.match(lines)
        hashes = frozenset(_HASH.findall(lines))
        if not pin or not hashes:
            raise WheelError(
                f"a lock file holds '{lines.splitlines()[0]}', which is no pin by digest"
            )
        found.append(Entry(normalised(pin[1]), pin[2], hashes, lines))
    return found


def pin(name: str, version: str, sha256: str) -> str:
    """One package of exactly one file."""
    return f"{name}=={version} \\\n    --hash=sha256:{sha256}\n"


def without(entries: Sequence[Entry], names: Collection[str]) -> list[Entry]:
    """What is left to be had from the index when these packages are built."""
    built = {normalised(name) for name in names}
    return [entry for entry in entries if entry.name not in built]


def composed(text: str, built: Sequence[tuple[str, str, str]]) -> str:
    """The final lock: a base lock, with its own pins of the built packages replaced.

    built: name, version and sha256 of each built wheel. Without any, the text is the base's.
    """
    if not built:
        return text
    left = without(parsed(text), [name for name, _, _ in built])
    texts = [entry.text.rstrip("\n") + "\n" for entry in left]
    return "".join([*texts, *(pin(*wheel) for wheel in sorted(built))])
