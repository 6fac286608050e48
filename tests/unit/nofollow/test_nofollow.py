"""Root in a directory of another user's: what that user plants is refused by name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible.module_utils.dynfleet import files, nofollow
from ansible.module_utils.dynfleet.lock import locked
from planted import NOBODY, Place

IDS = (NOBODY.pw_uid, NOBODY.pw_gid)


def take_lock(path: Path) -> None:
    with locked(path, 1):
        pass


def take_private(path: Path) -> None:
    with nofollow.private(path):
        pass


def item(path: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(path), "owner": "nobody", "group": "nogroup", "mode": "0777", **more}


# Each with what it does to a path; the link is the last name, or one above it.
ACTS: dict[str, Callable[[Path], Any]] = {
    "make_directory": lambda path: files.make_directory(item(path)),
    "compare": lambda path: files.attributes_differ(str(path), item(path)),
}
BELOW: dict[str, Callable[[Path], Any]] = {
    "make_directory": lambda path: files.make_directory(item(path / "new")),
    "write": lambda path: files.write(item(path / "new", content="planted")),
    "overwrite": lambda path: files.write(item(path / "x", content="planted")),
    "unlink": lambda path: nofollow.unlink(path / "x"),
    "remove": lambda path: nofollow.remove_tree(path / "x"),
    "parents": lambda path: files.make_parents(path / "a" / "b"),
    "lock": lambda path: take_lock(path / "lock"),
    "private": lambda path: take_private(path / "new"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_planted_link_is_refused_by_name(place: Place, act: Callable[[Path], Any]) -> None:
    link = place.link("ssd", place.folder)
    with pytest.raises(nofollow.UnsafePath, match=rf"{link}: is a symbolic link of uid {IDS[0]}"):
        act(link)


@pytest.mark.parametrize("act", BELOW.values(), ids=BELOW)
def test_planted_parent_is_refused_by_name(place: Place, act: Callable[[Path], Any]) -> None:
    link = place.link("roll", place.folder)
    with pytest.raises(nofollow.UnsafePath, match=str(link)):
        act(link)


def test_link_of_roots_in_a_directory_of_the_users_is_refused(place: Place) -> None:
    """The user may have moved it there."""
    link = place.own / "link"
    link.symlink_to(place.folder)
    with pytest.raises(nofollow.UnsafePath, match=str(link)):
        files.make_directory(item(link))


def test_written_file_replaces_a_link_and_a_hard_link(place: Place) -> None:
    link = place.link("mark", place.victim)
    hard = place.own / "hard"
    os.link(place.victim, hard)
    for path in (link, hard):
        files.write(item(path, content="mine"))
        assert (path.read_text(), path.is_symlink()) == ("mine", False)
        assert (path.stat().st_uid, path.stat().st_nlink) == (IDS[0], 1)
    assert sorted(path.name for path in place.own.iterdir()) == ["hard", "mark"]


def test_lock_file_is_not_followed(place: Place) -> None:
    link = place.link("lock", place.own / "made-by-root")
    with pytest.raises(OSError, match="symbolic links"):
        take_lock(link)
    assert not (place.own / "made-by-root").exists()


def test_directory_that_was_opened_stays_the_one_that_is_used(place: Place) -> None:
    """The name is swapped for a link between looking and acting."""
    inner = place.own / "inner"
    inner.mkdir()
    (inner / "x").write_text("mine")
    with nofollow.opened(inner) as handle:
        inner.rename(place.own / "moved")
        place.link("inner", place.folder)
        os.unlink("x", dir_fd=handle)
    assert not any((place.own / "moved").iterdir())


def test_tree_is_removed_and_links_in_it_are_not_followed(place: Place) -> None:
    (place.own / "tree" / "deep").mkdir(parents=True)
    (place.own / "tree" / "deep" / "link").symlink_to(place.folder)
    (place.own / "tree" / "link").symlink_to(place.victim)
    nofollow.remove_tree(place.own / "tree")
    nofollow.remove_tree(place.own / "tree")
    assert not any(place.own.iterdir())


def test_private_directory_of_the_users_is_not_taken(place: Place) -> None:
    theirs = place.own / "staging"
    theirs.mkdir(mode=0o755)
    os.chown(theirs, *IDS)
    with pytest.raises(nofollow.UnsafePath, match=f"{theirs}: is a directory that uid {IDS[0]}"):
        take_private(theirs)
    link = place.link("link", place.folder)
    with pytest.raises(nofollow.UnsafePath, match=f"{link}: is a link or file"):
        take_private(link)
    for _ in range(2):
        with nofollow.private(place.own / "new") as path:
            assert path.stat().st_mode & 0o777 == 0o700


def test_private_directory_stays_the_one_that_is_used(place: Place) -> None:
    name = place.own / "staging"
    with nofollow.private(name) as path:
        assert nofollow.same(name, path)
        name.rename(place.own / "moved")
        place.link("staging", place.folder)
        (path / "file").write_text("x")
        subprocess.run(["touch", path / "of-a-child"], check=True)
        assert not nofollow.same(name, path)
    assert len(list((place.own / "moved").iterdir())) == 2


@pytest.mark.parametrize("target", ["absolute", "relative", "up"])
def test_links_of_roots_own_are_followed(place: Place, tmp_path: Path, target: str) -> None:
    """An operator's /srv -> /data/srv, however it is written."""
    (tmp_path / "data").mkdir()
    targets = {"absolute": tmp_path / "data", "relative": "data", "up": f"../{tmp_path.name}/data"}
    (tmp_path / "srv").symlink_to(targets[target])
    files.write(item(tmp_path / "srv" / "a" / "b", content="text"))
    files.make_directory(item(tmp_path / "srv" / "d"))
    assert (tmp_path / "data" / "a" / "b").read_text() == "text"
    assert (tmp_path / "data" / "a").stat().st_mode & 0o777 == 0o755
    assert nofollow.status(tmp_path / "srv" / "d").st_uid == IDS[0]
    assert not files.attributes_differ(str(tmp_path / "srv" / "d"), item(tmp_path / "srv" / "d"))


def test_circle_of_links_ends(place: Place, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="one"), nofollow.opened(tmp_path / "one" / "x"):
        pass


def test_what_is_missing_is_said_with_its_path(place: Place, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none/x"), nofollow.opened(tmp_path / "none/x"):
        pass
    with pytest.raises(NotADirectoryError, match="victim/x"), nofollow.opened(place.victim / "x"):
        pass
    nofollow.unlink(tmp_path / "none" / "x")
    nofollow.remove_tree(tmp_path / "none" / "x")


@pytest.mark.parametrize(
    ("mode", "gid", "alone"),
    [(0o755, 0, True), (0o775, 0, True), (0o775, 50, False), (0o777, 0, False), (0o757, 0, False)],
)
def test_who_can_write(place: Place, tmp_path: Path, mode: int, gid: int, alone: bool) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    os.chown(directory, 0, gid)
    directory.chmod(mode)
    assert nofollow.only_root_writes(directory.stat()) is alone
