"""``manifest.json`` of a bundle: what it holds and is for, and the sha256 of every file. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FILE = "manifest.json"
SUMS = "SHA256SUMS"
# Of the layout: another one is refused.
FORMAT = 1
# Where files lie: a bundle does not get to name other places.
_PATH = re.compile(r"(wheels|archives|apt/[a-z0-9][a-z0-9.-]*)/[A-Za-z0-9_][A-Za-z0-9_.+!~-]*")
# A directory among the wheelhouse's own: neither hidden nor half-made, nor that of bundles.
_RELEASE = re.compile(r"(?!bundles$)(?!.*\.partial$)[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BundleError(Exception):
    """The bundle cannot be made or used; the message says why and what to do."""


def made(
    release: Mapping[str, Any],
    packages: Mapping[str, Mapping[str, Any]],
    archives: Mapping[str, str],
    files: Mapping[str, tuple[str, int]],
) -> dict[str, Any]:
    """The manifest.

    release: origins.json of the release. packages: by distribution release, the key of its
    repository and the version of each package. archives: where each came from, by sha256. files:
    sha256 and size in bytes, by path in the bundle.
    """
    return {
        "format": FORMAT,
        "release": release["id"],
        "set": release["set"],
        "locks": dict(release["locks"]),
        "packages": {name: dict(item) for name, item in sorted(packages.items())},
        "archives": dict(sorted(archives.items())),
        "files": {
            path: {"sha256": sha256, "size": size} for path, (sha256, size) in sorted(files.items())
        },
    }


def text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def identity(content: str) -> str:
    """Id of a bundle: the digest of its manifest's text."""
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def sums(content: str) -> str:
    """The same digests for sha256sum, the manifest's own included."""
    found = {path: item["sha256"] for path, item in json.loads(content)["files"].items()}
    found[FILE] = hashlib.sha256(content.encode()).hexdigest()
    return "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(found.items()))


def parsed(content: str, source: str) -> dict[str, Any]:
    """A manifest's content. Raises BundleError for what is none that this code can use."""
    try:
        found = dict(json.loads(content))
        layout = found["format"]
        if layout == FORMAT:
            wrong = list(_wrong(found))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"{source}: {FILE} cannot be read: {error!r}") from None
    if layout != FORMAT:
        raise BundleError(f"{source} is of format {layout}, wanted is {FORMAT}: make it anew")
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise BundleError(
            f"{source}: {FILE} names {'; '.join(wrong[:3])}{more}. Nothing was unpacked: no bundle "
            "of playbooks/bundle.yml says that, so ask where this one came from"
        )
    return found


def _wrong(found: Mapping[str, Any]) -> Iterator[str]:
    """Names, digests and sizes that no bundle of ours has; they become paths on the builder."""
    if not _RELEASE.fullmatch(found["release"]):
        yield f"the release {found['release']!r}, which is no name of a release"
    for kind, names in (("lock file", found["locks"]), ("distribution", found["packages"])):
        yield from (f"the {kind} {n!r}, which is no plain name" for n in names if not _plain(n))
    for sha256 in (*found["archives"], *found["locks"].values()):
        if not _SHA256.fullmatch(sha256):
            yield f"the sha256 {sha256!r}, which is not 64 hexadecimal digits"
    for path, item in found["files"].items():
        if not _PATH.fullmatch(path):
            yield f"{path!r}, which is no place in a bundle"
        if not _SHA256.fullmatch(item["sha256"]):
            yield f"{path!r} with the sha256 {item['sha256']!r}, which is not 64 hexadecimal digits"
        if type(item["size"]) is not int or item["size"] < 0:
            yield f"{path!r} with the size {item['size']!r}, which is not in bytes"


def _plain(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def objections(
    content: Mapping[str, Any],
    release: str,
    locks: Mapping[str, str],
    distributions: Mapping[str, str],
    archives: Sequence[str],
) -> list[str]:
    """Why a bundle does not serve these hosts, all at once.

    release: the wanted id. locks: sha256 of each lock file by name, where it is known. The rest:
    each host's release of the distribution (``trixie``), sha256 of each archive that roles fetch.
    """
    found = []
    if content["release"] != release:
        found.append(
            f"it holds the release {content['release']}, this inventory wants {release}: make a "
            "bundle of this inventory and this version of the project"
        )
    else:
        found += [
            f"its lock file {name} has sha256 {content['locks'].get(name)}, the project's has "
            f"{sha256}: it is not what it says it is"
            for name, sha256 in sorted(locks.items())
            if content["locks"].get(name) != sha256
        ]
    have = content["packages"]
    for host, name in sorted(distributions.items()):
        if name not in have:
            found.append(
                f"{host} runs {name or 'a distribution without a codename'}, the packages are for "
                f"{', '.join(have) or 'none'}: put a host of {name} into the group bundle and make "
                "it anew"
            )
    found += [
        f"it lacks the archive with sha256 {sha256}: make it anew with the same etcd_archive_url "
        "and nats_archive_url"
        for sha256 in archives
        if sha256.lower() not in content["archives"]
    ]
    return found
