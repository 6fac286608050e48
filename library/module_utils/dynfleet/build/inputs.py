"""What a build is made of, its digest, and the names that steps may use for its places."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ansible.module_utils.dynfleet.build.errors import BuildError

COMPONENT = re.compile(r"[a-z][a-z0-9-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# Names of files that we write: no directories, nothing hidden.
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
# host:path, as ssh takes it.
_SCP = re.compile(r"[^/:@]+@(?:[^/:@\[\]]+|\[[0-9A-Fa-f:.%\w-]+\]):\S+")
_PLACE = re.compile(r"\{([a-z]+)\}")
# Stages that every build has around its own steps.
FIRST, LAST = ("fetch", "checkout", "patches", "environment"), "wheels"


def sha256(content: str) -> str:
    """Digest of a text."""
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Patch:
    """A change to the source, in the format of ``git diff``."""

    name: str
    content: str


@dataclass(frozen=True)
class Archive:
    """A file that a step needs, by URL and digest."""

    name: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Step:
    """A command of the build: no shell. chdir and all values may name places (``{source}``)."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    chdir: str = "{source}"


@dataclass(frozen=True)
class Inputs:
    """All that decides what a build makes.

    commit: 40 hexadecimal digits. tag: has to be of that commit; empty for none. lock:
    requirements with hashes; empty builds with the interpreter as it is. python: its version
    (``X.Y``). files: by name, for steps. toolchain: pins that steps do not show. expected:
    patterns of the wheels' file names, one wheel each at least.
    """

    component: str
    repository: str
    commit: str
    python: str
    steps: Sequence[Step]
    expected: Sequence[str]
    tag: str = ""
    submodules: bool = False
    patches: Sequence[Patch] = ()
    archives: Sequence[Archive] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    lock: str = ""
    toolchain: Mapping[str, str] = field(default_factory=dict)
    salt: str = ""

    def stages(self) -> list[str]:
        """Names of the stages, in order."""
        around = {"patches": bool(self.patches), "environment": bool(self.lock)}
        first = [name for name in FIRST if around.get(name, True)]
        return [*first, *(step.name for step in self.steps), LAST]

    def digest(self) -> str:
        """Digest of all that decides the result.

        The repository's address is left out: the commit says what is fetched, from wherever.
        The same is true of an archive's.
        """
        parts = {
            "commit": self.commit,
            "python": self.python,
            "steps": [asdict(step) for step in self.steps],
            "expected": list(self.expected),
            "submodules": self.submodules,
            "patches": [[patch.name, sha256(patch.content)] for patch in self.patches],
            "archives": [[archive.name, archive.sha256] for archive in self.archives],
            "files": {name: sha256(content) for name, content in self.files.items()},
            "lock": sha256(self.lock) if self.lock else "",
            "toolchain": dict(self.toolchain),
            "salt": self.salt,
        }
        return sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")))

    def directory(self, root: Path) -> Path:
        """Where the build is kept."""
        return root / f"{self.component}-{self.digest()[:12]}"

    def check(self) -> None:
        """Refuse what cannot be meant. Raises BuildError."""
        if not COMPONENT.fullmatch(self.component):
            raise BuildError(f"'{self.component}' is no name of a component (a-z, 0-9, -)")
        if not COMMIT.fullmatch(self.commit):
            raise BuildError(
                f"commit is '{self.commit}', wanted are 40 hexadecimal digits in lower case: a "
                "branch or a tag may mean something else tomorrow (git rev-parse NAME^{commit})"
            )
        check_repository(self.repository)
        names = self.stages()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BuildError(f"two stages are named {', '.join(twice)}; give the steps other names")
        plain = [*names, *self.files, *(patch.name for patch in self.patches)]
        plain += [archive.name for archive in self.archives]
        for name in plain:
            if not PLAIN.fullmatch(name):
                raise BuildError(f"'{name}' is no plain name (letters, digits, . _ + -)")
        for archive in self.archives:
            if not SHA256.fullmatch(archive.sha256):
                raise BuildError(
                    f"sha256 of {archive.name} is '{archive.sha256}', wanted are 64 hex digits"
                )


def check_repository(url: str) -> None:
    """Refuse an address that git does not take, or one with a secret in it, without showing it."""
    if _SCP.fullmatch(url) or url.startswith("/"):
        return
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh", "git", "file"):
        raise BuildError("the repository is no address that git takes (https, ssh, git, file)")
    if parts.password or (parts.username and parts.scheme.startswith("http")):
        raise BuildError(
            "the repository's address holds a user or password, which would be shown in process "
            "lists and logs: give them in git_user and git_token"
        )


def fill(text: str, places: Mapping[str, str]) -> str:
    """Replace ``{place}`` by its value. Raises BuildError for one that there is not."""

    def value(match: re.Match[str]) -> str:
        if match.group(1) not in places:
            known = ", ".join(sorted(places))
            raise BuildError(f"'{text}' names the place {match.group(0)}; there are {known}")
        return places[match.group(1)]

    return _PLACE.sub(value, text)
