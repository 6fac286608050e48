"""Who holds a lock or a file, on real processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet import holders
from ansible.module_utils.dynfleet.holders import Holder


@contextmanager
def process(tmp_path: Path, name: str, text: str) -> Iterator[int]:
    """A Python script that has done something and then waits; its process id."""
    script = tmp_path / "programs" / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"import fcntl, os, sys\n{textwrap.dedent(text)}\n")
    script.write_text(f"{script.read_text()}print(flush=True)\nsys.stdin.read()\n")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"\n"
        yield started.pid
        assert started.stdin is not None
        started.stdin.close()


@pytest.mark.parametrize("call", ["lockf", "flock"])
def test_lock_is_told_with_its_holder(tmp_path: Path, call: str) -> None:
    """apt and dpkg lock by fcntl(2)."""
    lock, other = tmp_path / "lock-frontend", tmp_path / "other"
    other.touch()
    files = [str(lock), str(other), str(tmp_path / "none")]
    text = f"held = open({str(lock)!r}, 'w'); fcntl.{call}(held, fcntl.LOCK_EX)"
    assert holders.of_locks(files) == []
    with process(tmp_path, "unattended-upgrade", text) as pid:
        assert holders.of_locks(files) == [Holder(pid, "unattended-upgrade", str(lock))]
        said = holders.told(holders.of_locks(files))
        assert said == f"unattended-upgrade (pid {pid}), which holds {lock}"
    assert holders.of_locks(files) == []
    assert holders.told([]) == ""


def test_file_that_is_open_but_not_locked_is_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with process(tmp_path, "reader", f"held = open({str(lock)!r}, 'w')"):
        assert holders.of_locks([str(lock)]) == []


@pytest.mark.parametrize("how", ["open('{}/member/wal/0.wal', 'w')", "os.chdir('{}/member')"])
def test_directory_in_use_is_told_by_whatever_path(tmp_path: Path, how: str) -> None:
    """A process whose file was moved, as a sandboxed one, has another path for it."""
    data = tmp_path / "data"
    (data / "member" / "wal").mkdir(parents=True)
    (data / "member" / "wal" / "0.wal").touch()
    (tmp_path / "seen").symlink_to(data)
    assert holders.of_directory(str(data)) == []
    with process(tmp_path, "etcd", f"held = {how.format(tmp_path / 'seen')}") as pid:
        (found,) = holders.of_directory(str(data))
        assert (found.pid, found.name) == (pid, "etcd")
        assert found.path.startswith(f"{data}/member")
        data.rename(tmp_path / "moved")
        assert [one.pid for one in holders.of_directory(str(tmp_path / "moved"))] == [pid]
    assert holders.of_directory(str(tmp_path / "moved")) == []
    assert holders.of_directory(str(tmp_path / "none")) == []
