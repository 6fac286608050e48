"""Fixtures of several subjects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from planted import NOBODY, Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    found = Place(tmp_path / "own", tmp_path / "victim", tmp_path / "folder")
    found.own.mkdir(mode=0o755)
    os.chown(found.own, NOBODY.pw_uid, NOBODY.pw_gid)
    found.victim.write_text("secret")
    found.victim.chmod(0o600)
    found.folder.mkdir(mode=0o700)
    (found.folder / "x").write_text("x")
    yield found
    assert found.untouched(), "root's files were changed"
