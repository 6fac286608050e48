"""The host's end of a push: what is there already, and how a piece gets to its place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.model import push
from ansible.module_utils.dynfleet.nofollow import UnsafePath

# The directories are root's.
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def put(path: Path, lock: Path, offset: int, data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a login shell gets it, for a file of a prepared directory."""
    _, identity = push.prepare(path.parent, [])
    place = push.Place(str(path.parent), identity, str(lock))
    return run(push.command(place, path.name, offset), data)


def run(command: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", command],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_files_are_made_for_nobody_else(tmp_path: Path) -> None:
    staging = tmp_path / "models/.m.partial"
    assert push.prepare(staging, ["config.json", "sub/a"])[0] == {"config.json": 0, "sub/a": 0}
    assert staging.stat().st_mode & 0o777 == 0o700
    assert (staging / "sub/a").stat().st_mode & 0o777 == 0o600


def test_what_an_earlier_push_sent_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 5000)
    assert push.prepare(tmp_path, ["a"])[0] == {"a": 5000}


def test_parts_behind_a_hole_do_not_count(tmp_path: Path) -> None:
    """As a download in parts leaves them: the second part came before the rest of the first."""
    with (tmp_path / "a").open("wb") as out:
        out.write(b"x" * (3 << 20))
        out.seek(8 << 20)
        out.write(b"y" * (1 << 20))
    had = push.prepare(tmp_path, ["a"])[0]["a"]
    assert 0 < had <= 3 << 20


def test_names_that_others_share_are_not_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other revision"
    other.write_bytes(b"theirs")
    (tmp_path / "staging").mkdir()
    os.link(other, tmp_path / "staging/a")
    assert push.prepare(tmp_path / "staging", ["a"])[0] == {"a": 0}
    put(tmp_path / "staging/a", tmp_path / "lock", 0, b"ours")
    assert (other.read_bytes(), (tmp_path / "staging/a").read_bytes()) == (b"theirs", b"ours")


def test_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        push.prepare(tmp_path, ["a"])
    assert not (tmp_path / "elsewhere").exists()


def test_a_staging_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    (theirs / "link").symlink_to(tmp_path)
    for staging in (theirs / "link", theirs):
        with pytest.raises(UnsafePath, match=staging.name):
            push.prepare(staging, ["a"])
    assert not (tmp_path / "a").exists()


def test_no_piece_goes_into_a_directory_that_took_the_place(tmp_path: Path) -> None:
    staging, victim = tmp_path / "staging", tmp_path / "victim"
    _, identity = push.prepare(staging, ["a"])
    victim.mkdir()
    (victim / "a").write_bytes(b"theirs")
    staging.rename(tmp_path / "aside")
    staging.symlink_to(victim)
    place = push.Place(str(staging), identity, str(tmp_path / "lock"))
    done = run(push.command(place, "a", 0), b"ours")
    assert done.returncode != 0
    assert b"was replaced by another directory" in done.stderr
    assert (victim / "a").read_bytes() == b"theirs"


def test_pieces_make_the_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    path = tmp_path / "it's a $file"
    path.touch()
    for start in range(0, len(content), 1_234_567):
        piece = content[start : start + 1_234_567]
        done = put(path, tmp_path / "a lock", start, piece)
        assert int(done.stdout) == start + len(piece), done.stderr
    assert path.read_bytes() == content


def test_failure_says_why_and_takes_the_rest(tmp_path: Path) -> None:
    """A program that ends early would break the pipe, and its words would be lost."""
    done = put(tmp_path / "gone", tmp_path / "lock", 0, b"x" * (4 << 20))
    assert done.returncode == 1
    assert b"gone': No such file or directory" in done.stderr


def test_another_run_is_waited_for_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "PATIENCE", 1)
    (tmp_path / "a").touch()
    holder = subprocess.Popen(
        ["flock", tmp_path / "lock", "sh", "-c", "echo held; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin and holder.stdout and holder.stdout.readline() == b"held\n"
    assert put(tmp_path / "a", tmp_path / "lock", 0, b"x").returncode == push.BUSY
    holder.stdin.close()
    holder.wait()
    assert put(tmp_path / "a", tmp_path / "lock", 0, b"x").returncode == 0
