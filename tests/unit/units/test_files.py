"""Files and directories: what differs, and writing in one step."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet import files

ME = pwd.getpwuid(os.getuid()).pw_name
MINE = grp.getgrgid(os.getgid()).gr_name


def item(path: Path, content: str = "new\n", **more: Any) -> dict[str, Any]:
    return {
        "path": str(path),
        "content": content,
        "owner": ME,
        "group": MINE,
        "mode": "0640",
        "secret": False,
        **more,
    }


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff")
    assert files.read(str(tmp_path / "a")) == b"\xff"
    assert files.read(str(tmp_path / "b")) is None


def test_a_process_that_ends_while_it_is_read_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Path) -> bytes:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert files.read("/proc/1/environ") is None


def test_written_file_is_whole_and_parents_can_be_entered(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "usr" / "lib" / "helper"
    files.write(item(path, "new\n", mode="0755"))
    assert path.read_text() == "new\n"
    assert mode(path) == 0o755
    assert mode(path.parent) == mode(path.parent.parent) == 0o755
    assert [entry.name for entry in path.parent.iterdir()] == ["helper"]


def test_directory_has_its_mode_and_its_parents_can_be_entered(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "var" / "private"
    files.make_directory(item(path, mode="0700"))
    files.make_directory(item(path, mode="0750"))
    assert mode(path) == 0o750
    assert mode(path.parent) == 0o755


def test_parents_that_are_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    files.write(item(tmp_path / "closed" / "a"))
    assert mode(tmp_path / "closed") == 0o700


def refuse(*_: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("step", ["fchown", "fchmod", "fsync"])
def test_failed_write_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a"
    path.write_text("old\n")
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(PermissionError):
        files.write(item(path))
    assert path.read_text() == "old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_unknown_owner_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old\n")
    with pytest.raises(KeyError, match="nobody-of-that-name"):
        files.write(item(path, owner="nobody-of-that-name"))
    assert path.read_text() == "old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_content_is_never_readable_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    rename = os.rename

    def watch(source: str, target: str, **directories: int) -> None:
        seen.append(mode(tmp_path / source))
        rename(source, target, **directories)

    monkeypatch.setattr(os, "rename", watch)
    files.write(item(tmp_path / "a", mode="0600"))
    assert seen == [0o600]


@pytest.mark.parametrize(
    ("wanted", "differs"),
    [
        ({}, False),
        ({"mode": "640"}, False),
        ({"mode": "0644"}, True),
        ({"mode": "2640"}, True),
        ({"owner": "nobody"}, True),
        ({"owner": "not-there-yet"}, True),
        ({"group": "not-there-yet"}, True),
    ],
)
def test_attributes(tmp_path: Path, wanted: dict[str, str], differs: bool) -> None:
    path = tmp_path / "a"
    files.write(item(path))
    assert files.attributes_differ(str(path), item(path, **wanted)) is differs


def test_absent_path_differs(tmp_path: Path) -> None:
    assert files.attributes_differ(str(tmp_path / "a"), item(tmp_path / "a"))


def test_stale_files(tmp_path: Path) -> None:
    for name in ("worker-0.env", "worker-1.env", "worker-1.conf", "other.env"):
        (tmp_path / name).touch()
    pattern, keep = f"{tmp_path}/worker-*.env", f"{tmp_path}/worker-0.env"
    assert files.stale_files([pattern], [keep]) == [f"{tmp_path}/worker-1.env"]
    assert files.stale_files([pattern, pattern], []) == [keep, f"{tmp_path}/worker-1.env"]
    assert files.stale_files([], []) == []


@pytest.mark.parametrize("before", [None, b"", b"old\n", b"\xff\n"])
def test_diff_shows_what_changes(before: bytes | None) -> None:
    entry = files.diff_entry(item(Path("/etc/a")), before)
    assert entry["after"] == "new\n"
    assert entry["before"] == (before or b"").decode("utf-8", "replace")
    assert entry["before_header"] == ("/etc/a (absent)" if before is None else "/etc/a")


@pytest.mark.parametrize("before", [None, b"", b"old-secret\n"])
def test_diff_withholds_a_secret(before: bytes | None) -> None:
    entry = files.diff_entry(item(Path("/etc/a"), "new-secret\n", secret=True), before)
    assert "secret" not in "".join(entry.values())
    assert entry["after"] != entry["before"]
