"""A copy of the project as it stands here, for tests that change it or its place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy(directory: Path) -> Path:
    """The project's files, those that are not committed yet among them, in a new directory."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, place = ROOT / name, directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() or source.exists():
            shutil.copy2(source, place, follow_symlinks=False)
    return directory


def ansible_playbook(
    directory: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it in a directory, with no configuration but what is there or in ``environment``."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", *arguments],
        cwd=directory,
        env={**inherited, "HOME": str(directory / ".home"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
