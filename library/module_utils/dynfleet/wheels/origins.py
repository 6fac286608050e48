"""``origins.json`` of a release in the wheelhouse: what it is made of, and from where. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.dynfleet.wheels.lock import Entry
from ansible.module_utils.dynfleet.wheels.names import fits_python, normalised, parsed

FILE = "origins.json"
INDEX = "index"


def build_origins(builds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Origin of each built wheel by file name: component, digest of the build, repository, ..."""
    return {
        wheel["file"]: {
            **build["origin"],
            "component": build["component"],
            "build": build["digest"],
        }
        for build in builds
        for wheel in build["wheels"]
    }


def record(
    release: str,
    release_set: str,
    locks: Mapping[str, str],
    files: Mapping[str, tuple[str, int]],
    builds: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The record. locks: sha256 of each final lock by its name; files: sha256 and size by name."""
    built = build_origins(builds)
    return {
        "id": release,
        "set": release_set,
        "locks": dict(sorted(locks.items())),
        "wheels": {
            name: {"sha256": sha256, "size": size, "origin": built.get(name, INDEX)}
            for name, (sha256, size) in sorted(files.items())
        },
    }


def installed(
    origins: Mapping[str, Any], entries: Sequence[Entry], python: str
) -> list[dict[str, Any]]:
    """The wheels that a lock makes a Python install, each with its origin, by name."""
    wanted = {entry.name: entry for entry in entries}
    found = []
    for file, item in origins["wheels"].items():
        wheel = parsed(file)
        entry = wanted.get(wheel.name)
        if entry and item["sha256"] in entry.hashes and fits_python(wheel, python):
            about = {"name": normalised(wheel.name), "version": entry.version, "file": file}
            found.append({**about, "sha256": item["sha256"], "origin": item["origin"]})
    return sorted(found, key=lambda item: str(item["name"]))
