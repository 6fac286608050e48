"""Release sets, and versions that are known not to work together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.inputs.files import is_file
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem, show
from ansible.module_utils.dynfleet.inputs.names import did_you_mean
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

PARTS = frozenset(("frontend", "worker"))
_PYTHON = re.compile(r"3\.\d+")
_ARCHIVE_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")


def matches(version: str, condition: Any) -> bool:
    """Whether a version meets a condition.

    condition: version specifiers (``">=0.20,<0.27"``), or exact versions or beginnings of commits:
    one, or a list.
    """
    if isinstance(condition, (list, tuple)):
        return any(matches(version, item) for item in condition)
    text = str(condition)
    if text[:1] not in "<>=!~":
        return version == text or (len(text) >= 7 and version.startswith(text))
    try:
        return SpecifierSet(text).contains(version, prereleases=True)
    except (InvalidVersion, InvalidSpecifier):
        return False


def is_python(value: Any) -> bool:
    """Whether a value is a version of Python, as text."""
    return isinstance(value, str) and _PYTHON.fullmatch(value) is not None


def listed(release: Mapping[str, Any], key: str) -> list[Any]:
    """A list of a release set; empty where it is something else."""
    value = release.get(key)
    return value if isinstance(value, list) else []


def archive_version(url: str) -> str:
    """The version in the address of a release archive; empty where there is none."""
    found = _ARCHIVE_VERSION.findall(url)
    return str(found[-1]) if found else ""


def components(host: Host) -> dict[str, str]:
    """Versions of everything that the host would get, by the names of a release set."""
    release = host.mapping("dynamo_release_sets").get(host.text("dynamo_release_set") or "")
    found = (
        {name: str(value) for name, value in release.items() if isinstance(value, (str, int))}
        if isinstance(release, Mapping)
        else {}
    )
    for name in ("etcd", "nats"):
        if name in host.groups and host.text(f"{name}_source") == "archive":
            version = archive_version(host.text(f"{name}_archive_url") or "")
            if version:
                found[name] = version
    return found


def check(fleet: Fleet) -> Iterator[Problem]:
    """Release sets first, then combinations."""
    for host in fleet.hosts.values():
        yield from _release_set(host)
        yield from _kinds(host)
        yield from _combinations(host)
    for host in fleet.members("builder"):
        yield from _locks(host, fleet.root)


def _release_set(host: Host) -> Iterator[Problem]:
    name, sets = host.text("dynamo_release_set"), host.mapping("dynamo_release_sets")
    engine = host.text("dynamo_engine")
    if name is None or not sets or engine not in ("vllm", "mocker"):
        return
    if name not in sets:
        near = did_you_mean(name, sets)
        yield host.problem(
            "dynamo_release_set",
            "is no release set",
            near or f"choose {' or '.join(sorted(sets))}, or add it to dynamo_release_sets",
        )
        return
    made_for = sets[name].get("engine") if isinstance(sets[name], Mapping) else None
    if made_for is not None and made_for != engine:
        yield host.problem(
            "dynamo_release_set",
            f"is for the engine {made_for}, dynamo_engine is {engine}",
            "choose a set of that engine, or change dynamo_engine",
        )


def _kinds(host: Host) -> Iterator[Problem]:
    for name, release in host.mapping("dynamo_release_sets").items():
        if not isinstance(release, Mapping):
            continue
        for key, value in release.items():
            if isinstance(value, float):
                yield host.problem(
                    f"dynamo_release_sets.{name}.{key}",
                    "is a number to YAML, which drops zeros at its end",
                    "put it into quotes",
                    value=value,
                )
        imports = release.get("imports")
        if not isinstance(imports, Mapping) or set(imports) != PARTS:
            yield host.problem(
                f"dynamo_release_sets.{name}.imports",
                "does not go by the parts of a release",
                "write a list of modules for each: {frontend: [...], worker: [...]}",
                value=imports if imports is not None else "",
            )
        wrong = [item for item in listed(release, "pythons") if not is_python(item)]
        if wrong or not listed(release, "pythons"):
            yield host.problem(
                f"dynamo_release_sets.{name}.pythons",
                f"{show(wrong[0])} is no version of Python" if wrong else "is no list of versions",
                'write versions in quotes: ["3.12"]',
                value=release.get("pythons", ""),
            )


def _combinations(host: Host) -> Iterator[Problem]:
    have = components(host)
    for entry in host.sequence("dynamo_known_bad"):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("when"), Mapping):
            yield host.problem(
                "dynamo_known_bad",
                "holds something that is no entry",
                "see group_vars/all/compatibility.yml",
                value=entry,
            )
        elif all(name in have and matches(have[name], w) for name, w in entry["when"].items()):
            told = ", ".join(f"{name} {have[name]}" for name in entry["when"])
            yield Problem(
                message=f"{told}: {entry.get('reason', 'known not to work')}",
                mend=str(entry.get("mend", "choose other versions")),
                host=host.name,
            )


def _locks(host: Host, root: Path) -> Iterator[Problem]:
    """The lock files of the chosen set: without them there is nothing to install."""
    prefixes = host.mapping("dynamo_locks")
    release = host.mapping("dynamo_release_sets").get(host.text("dynamo_release_set") or "")
    if not isinstance(release, Mapping):
        return
    pythons = filter(is_python, listed(release, "pythons"))
    for prefix, python in product(prefixes.values(), pythons):
        path = f"{prefix}-py{python}.txt"
        if not is_file(path):
            shown = path[len(f"{root}/") :] if path.startswith(f"{root}/") else path
            yield host.problem(
                "dynamo_release_set", f"has no lock file {shown}", "make it: make locks"
            )
