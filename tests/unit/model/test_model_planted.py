"""A model below a directory that another user can write to, and plants links in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import model_cases as cases
import pytest
from ansible.module_utils.dynfleet import nofollow
from ansible.module_utils.dynfleet.model import bring, transfer, tree
from planted import NOBODY, Place


@pytest.fixture
def task(place: Place, tmp_path: Path) -> bring.Bring:
    """A model to bring into the user's directory, from a directory of root's."""
    source = cases.write(tmp_path / "source")
    return bring.Bring(cases.wanted(place.own / "llama", str(source)))


def test_planted_staging_directory_is_refused(place: Place, task: bring.Bring) -> None:
    link = place.link(task.tree.staging.name, place.folder)
    with pytest.raises(nofollow.UnsafePath, match=f"{link}: is a link or file that uid"):
        task.apply()
    link.unlink()
    link.mkdir()
    os.chown(link, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(nofollow.UnsafePath, match=f"{link}: is a directory that uid"):
        task.apply()
    link.rmdir()
    task.apply()
    assert (place.own / "llama" / "config.json").read_bytes() == cases.CONTENT["config.json"]


def test_staging_directory_that_is_swapped_meanwhile_is_not_followed(
    place: Place, task: bring.Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transfer.Transfer.run

    def run(self: transfer.Transfer) -> None:
        task.tree.staging.rename(place.own / "moved")
        place.link(task.tree.staging.name, place.folder)
        real(self)

    monkeypatch.setattr(transfer.Transfer, "run", run)
    with pytest.raises(tree.TreeError, match=f"{task.tree.staging} was renamed or replaced"):
        task.apply()
    assert (place.own / "moved" / "config.json").is_file()


def test_planted_lock_and_leftovers_are_not_followed(place: Place, task: bring.Bring) -> None:
    lock = place.link(task.tree.lock.name, place.victim)
    with pytest.raises(OSError, match="symbolic links"):
        task.apply()
    lock.unlink()
    left = place.link(".llama.ffffffffffff.partial", place.folder)
    final = place.link(task.tree.final.name, place.folder)
    task.apply()
    assert not left.is_symlink()
    assert not final.is_symlink()
    assert (place.own / "llama" / "config.json").is_file()


def test_file_that_is_swapped_after_it_was_read_is_not_taken(
    place: Place, task: bring.Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is of a file of the site's, whose name then leads to one of root's."""
    site = cases.write(place.own / "llama")
    real = transfer.Transfer._digest

    def digest(self: transfer.Transfer, record: Any, path: Path) -> str:
        found = real(self, record, path)
        name = site / record.file.path
        name.unlink(missing_ok=True)
        name.symlink_to(place.victim)
        return found

    monkeypatch.setattr(transfer.Transfer, "_digest", digest)
    task.apply()
    brought = place.own / "llama" / "config.json"
    assert (brought.is_symlink(), brought.read_bytes()) == (False, cases.CONTENT["config.json"])


def test_files_of_a_site_that_are_links_are_taken_themselves(
    place: Place, task: bring.Bring, tmp_path: Path
) -> None:
    """As in a hub's cache; a hard link of a relative link would lead nowhere."""
    blobs = cases.write(place.own / "blobs")
    for name in cases.CONTENT:
        path = place.own / "llama" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(blobs / name, path.parent))
    assert task.apply()[0] == []
    for name, data in cases.CONTENT.items():
        path = task.tree.final / name
        assert (path.is_symlink(), path.read_bytes()) == (False, data)
