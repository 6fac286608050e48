"""File names of wheels, and which Python and glibc they fit. Pure.

Sources: the name format of the binary distribution format (PEP 427), compatibility tags (PEP 425),
manylinux (PEP 600), normalised project names (PEP 503).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# glibc 2.N that the older names of manylinux stand for.
_LEGACY = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}


class WheelError(Exception):
    """The wheels of a release cannot be had; the message says which, why and what to do."""


@dataclass(frozen=True)
class WheelName:
    """A wheel's file name in parts. name: normalised; tags: of Python, ABI and platform."""

    name: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]


def normalised(name: str) -> str:
    """A project's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parsed(file: str) -> WheelName:
    """The parts of a file name. Raises WheelError for what is no wheel's name."""
    stem, dot, kind = file.rpartition(".")
    parts = stem.split("-")
    if not dot or kind != "whl" or len(parts) not in (5, 6):
        raise WheelError(f"{file} is no name of a wheel")
    pythons, abis, platforms = (tuple(part.split(".")) for part in parts[-3:])
    return WheelName(normalised(parts[0]), parts[1], pythons, abis, platforms)


def fits_python(wheel: WheelName, python: str) -> bool:
    """Whether CPython ``X.Y`` takes a wheel."""
    major, minor = python.split(".")
    for tag in wheel.pythons:
        found = re.fullmatch(r"(py|cp)(\d)(\d*)", tag)
        if not found or found.group(2) != major:
            continue
        oldest = int(found.group(3) or 0)
        if found.group(1) == "py" and "none" in wheel.abis and oldest <= int(minor):
            return True
        if found.group(1) == "cp" and "abi3" in wheel.abis and oldest <= int(minor):
            return True
        own = {"none", f"cp{major}{minor}"} & set(wheel.abis)
        if found.group(1) == "cp" and own and oldest == int(minor):
            return True
    return False


def fits_platform(wheel: WheelName, glibc: int) -> bool:
    """Whether Linux on x86-64 with glibc 2.``glibc`` takes a wheel."""
    for tag in wheel.platforms:
        if tag in ("any", "linux_x86_64"):
            return True
        found = re.fullmatch(r"manylinux_2_(\d+)_x86_64", tag)
        oldest = int(found.group(1)) if found else _LEGACY.get(tag.rpartition("_x86_64")[0])
        if oldest is not None and oldest <= glibc:
            return True
    return False
