"""A real unprivileged user with a directory, and a file and a directory of root's to aim at."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

NOBODY = pwd.getpwnam("nobody")


@dataclass
class Place:
    """own: a directory of the user's. victim, folder: a file and a directory of root's alone."""

    own: Path
    victim: Path
    folder: Path

    def link(self, name: str, target: Path) -> Path:
        """A link that the user plants."""
        path = self.own / name
        path.symlink_to(target)
        os.lchown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        return path

    def untouched(self) -> bool:
        """Whether root's files are as they were."""
        states = [(path.stat().st_uid, oct(path.stat().st_mode)[-4:]) for path in self.both]
        return states == [(0, "0600"), (0, "0700")] and self.content() == ["secret", "x"]

    def content(self) -> list[str]:
        """What is in them."""
        return [self.victim.read_text(), *sorted(path.name for path in self.folder.iterdir())]

    @property
    def both(self) -> tuple[Path, Path]:
        return self.victim, self.folder
