"""pip's download command for wheels of another Python, and what it says on failure. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible.module_utils.dynfleet.wheels.lock import Entry

# Packages of one call: what an interrupted call had loaded is lost, each call costs a second.
BATCH = 8
_LEGACY = ("linux", "manylinux1", "manylinux2010", "manylinux2014")
_MISMATCH = re.compile(
    r"^ +(?P<what>\S+)(?: \(from .*\))?(?: from (?P<url>\S+?))?(?: \(from .*\))?:\n"
    r"(?P<wanted>(?: +Expected +(?:sha256|or) +[0-9a-f]+\n)+)"
    r" +Got +(?P<got>[0-9a-f]+)",
    re.MULTILINE,
)


def batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries in turn over as many batches as needed: large neighbours end in different ones."""
    count = -(-len(entries) // BATCH)
    return [list(entries[start::count]) for start in range(count)]


def download_command(python: str, glibc: int, requirements: str, target: str) -> list[str]:
    """Downloads into a directory; what is there with the right digest is left alone.

    pip takes each platform tag by itself, so that every glibc 2.N up to the hosts' is named.
    """
    platforms = [f"{name}_x86_64" for name in _LEGACY]
    platforms += [f"manylinux_2_{minor}_x86_64" for minor in range(5, glibc + 1)]
    return [
        *("python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-input", "--no-cache-dir", "--require-hashes", "--no-deps"),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python),
        *(f"--platform={platform}" for platform in platforms),
        *("--requirement", requirements, "--dest", target),
    ]


def mismatch(output: str) -> re.Match[str] | None:
    """Where pip speaks of a digest: groups `what`, `url`, `wanted` and `got`."""
    return _MISMATCH.search(output)


def broken_off(found: re.Match[str]) -> str:
    """What a file is that came with another wrong digest each time."""
    return (
        f"{found['url'] or found['what']} came with another content each time (the last sha256 is "
        f"{found['got']}): the connection breaks off on the way. What was loaded is kept, run this "
        "again; see that no proxy ends long downloads"
    )


def explained(output: str) -> str:
    """Why a download failed: both digests where it is a digest, else pip's last lines."""
    found = mismatch(output)
    if not found:
        return "\n".join(output.strip().splitlines()[-12:])
    wanted = re.findall(r"[0-9a-f]{64}", found["wanted"])
    more = f" or {len(wanted) - 1} more" if len(wanted) > 1 else ""
    return (
        f"{found['url'] or found['what']} has sha256 {found['got']}, the lock file wants "
        f"{wanted[0]}{more}. The file was not kept. Somebody changed it on the index or on the way "
        "to here: find out who before you change the lock"
    )
