"""Release archives of etcd and NATS: complete, and with a digest."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_USER = re.compile(r"(?<=://)[^/@]*@")
_URL = re.compile(r"(https?|ftp|file)://\S+")


def check(fleet: Fleet) -> Iterator[Problem]:
    """The archives of the hosts that would use them; a stray one is only mentioned."""
    for group in ("etcd", "nats"):
        for host in fleet.members(group):
            source = host.text(f"{group}_source")
            if source == "archive":
                yield from _archive(host, group)
            elif source == "package" and host.text(f"{group}_archive_url"):
                yield host.problem(
                    f"{group}_archive_url",
                    f"is not used: {group}_source is package",
                    f"set {group}_source: archive, or take it out",
                    _shown(host.text(f"{group}_archive_url")),
                    warning=True,
                )


def _shown(url: str | None) -> str:
    """An address without the user and password in it."""
    return _USER.sub("...@", url or "")


def _archive(host: Host, group: str) -> Iterator[Problem]:
    url, digest = host.text(f"{group}_archive_url"), host.text(f"{group}_archive_sha256")
    if url is not None and not _URL.fullmatch(url):
        yield host.problem(
            f"{group}_archive_url",
            "is no URL" if url else f"is empty, and {group}_source is archive",
            "give the address of the release's .tar.gz",
            _shown(url),
        )
    if digest is not None and not _SHA256.fullmatch(digest):
        wrong = f"is not 64 hexadecimal digits but {len(digest)} characters"
        yield host.problem(
            f"{group}_archive_sha256",
            wrong if digest else f"is empty, and {group}_source is archive",
            "give the SHA-256 of the archive, as the release's list of checksums has it",
        )
