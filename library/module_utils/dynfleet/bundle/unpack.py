"""A bundle's files on the builder: the release among the others, the rest in a place of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO, Any

from ansible.module_utils.dynfleet.bundle import archive, manifest
from ansible.module_utils.dynfleet.bundle.manifest import BundleError
from ansible.module_utils.dynfleet.wheels import house

BUNDLES = "bundles"


def place(root: Path, identity: str) -> Path:
    """Directory of a bundle's packages and archives in the wheelhouse."""
    return root / BUNDLES / identity


def is_there(root: Path, identity: str, release: str) -> bool:
    """Whether a bundle was unpacked to its end, and its release is still there."""
    return (place(root, identity) / manifest.FILE).exists() and house.is_whole(root / release)


def unpack(path: Path, root: Path, expected: tuple[str, str] | None = None) -> dict[str, Any]:
    """Unpack what is not there, every file compared with the manifest; the manifest.

    expected: id and release that the archive was checked to have.
    """
    text = archive.head(path)
    content = manifest.parsed(text, str(path))
    seen = (manifest.identity(text), content["release"])
    if expected and seen != expected:
        raise BundleError(
            f"{path} is the bundle {seen[0]} of {seen[1]}, not the one that was checked "
            f"({expected[0]} of {expected[1]}): it was replaced meanwhile. Run this again"
        )
    wheels = root / content["release"]
    rest = place(root, manifest.identity(text))
    partial = {
        target: target.with_name(f"{target.name}{house.PARTIAL}") for target in (wheels, rest)
    }
    for directory in partial.values():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def sink(name: str) -> IO[bytes] | None:
        kind, _, file = name.partition("/")
        if kind == "wheels" and house.is_whole(wheels):
            return None
        target = partial[wheels] / file if kind == "wheels" else partial[rest] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("wb")

    archive.read(path, sink)
    (partial[rest] / manifest.FILE).write_text(text)
    os.sync()
    if house.is_whole(wheels):
        shutil.rmtree(partial[wheels])
    else:
        shutil.rmtree(wheels, ignore_errors=True)
        partial[wheels].rename(wheels)
    shutil.rmtree(rest, ignore_errors=True)
    partial[rest].rename(rest)
    return content


def prune(root: Path, identity: str) -> list[str]:
    """Remove other bundles: their packages are the same ones, or older."""
    others = [path for path in (root / BUNDLES).iterdir() if path.name != identity]
    for path in others:
        shutil.rmtree(path)
    return sorted(path.name for path in others)
