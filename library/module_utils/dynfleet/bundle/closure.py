"""Distribution packages with all that they depend on, down to the C library. Pure.

apt is asked with an empty list of installed packages, so that what comes out is enough for any host
of the distribution release, whatever it has already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_LINE = re.compile(
    r"'(?P<url>[^']+)' (?P<cached>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})"
)
# Names become files of the repository: no directories, nothing hidden.
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_%:-]*")


@dataclass(frozen=True)
class Package:
    """One file. cached: its name in apt's directory of archives; size in bytes."""

    url: str
    cached: str
    size: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the distribution's own pool, which leaves the epoch out."""
        return unquote(self.url.rsplit("/", 1)[1])

    @property
    def name(self) -> str:
        return self.cached.split("_")[0]

    @property
    def version(self) -> str:
        return unquote(self.cached.split("_")[1])


def command(status: str, archives: str, packages: Sequence[str], *options: str) -> list[str]:
    """apt-get on the way to these packages. status: an empty list of what is installed."""
    return [
        *("apt-get", *options, "--quiet=2", "--assume-yes", "--no-install-recommends"),
        *("-o", "Acquire::ForceHash=SHA256", "-o", f"Dir::State::status={status}"),
        *("-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=1"),
        *("install", *packages),
    ]


def parsed(output: str) -> list[Package]:
    """What ``--print-uris`` lists. Raises ValueError without a digest or with a name of no file."""
    found = []
    for line in output.splitlines():
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise ValueError(f"apt names no sha256 in: {line}")
        package = Package(match["url"], match["cached"], int(match["size"]), match["sha256"])
        for name in (package.file, package.cached):
            if not _FILE.fullmatch(name):
                raise ValueError(f"apt names the file {name!r}, which is no package's, in: {line}")
        found.append(package)
    return sorted(found, key=lambda package: package.file)
