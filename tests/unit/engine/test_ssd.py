"""io_uring on the file systems of the SSD tier."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import io_uring_probe
import pytest
from ansible.module_utils.dynfleet import nofollow, sandboxed
from ansible.module_utils.dynfleet.engine import ring, ssd
from ansible.module_utils.testing import patch_module_args
from planted import NOBODY, Place


def facts(path: str, fstype: str | None) -> dict[str, Any]:
    return {"path": path, "mount": "/", "fstype": fstype, "options": "rw", "devices": []}


def test_what_can_be_seen() -> None:
    assert list(ssd.check(0, [facts("/nvme0", "ext4"), facts("/nvme1", "xfs")])) == []
    assert list(ssd.check(None, [])) == []
    told = [
        problem.line()
        for problem in ssd.check(
            2,
            [facts("/a", "overlay"), facts("/b", "tmpfs"), facts("/c", "nfs4"), facts("/d", None)],
        )
    ]
    assert told[0].startswith("kernel.io_uring_disabled is 2 (for nobody), wanted is 0: sysctl -w")
    assert [line.split(" (")[0] for line in told[1:4]] == [
        "the file system of /a is overlay",
        "the file system of /b is tmpfs",
        "the file system of /c is nfs4",
    ]
    assert told[4].startswith("/d is on no file system")


def test_what_was_tried() -> None:
    names = {"/nvme0/.dynfleet-x": "/nvme0/flexkv/0"}
    good = {"library": "", "ring": "", "directories": {"/nvme0/.dynfleet-x": ""}}
    assert list(ssd.tried(good, names)) == []
    bad = {
        "library": "liburing.so.2: cannot open shared object file",
        "ring": "Operation not permitted",
        "directories": {"/nvme0/.dynfleet-x": "writing in /nvme0/.dynfleet-x fails: No space"},
    }
    told = [problem.line() for problem in ssd.tried(bad, names)]
    assert "install liburing2" in told[0]
    assert "refused (Operation not permitted)" in told[1]
    assert told[2].startswith(
        "direct I/O below /nvme0/flexkv/0 is writing in /nvme0/flexkv/0 fails"
    )


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service user of this host, which has no dynamo."""
    monkeypatch.setattr(sandboxed, "USER", "nobody")


def test_directory_of_the_users_is_tried_as_it_is(place: Place, user: None) -> None:
    """Nothing is made or handed over there by root, and what is below a link is refused."""
    with io_uring_probe.trial_directories([str(place.own / "flexkv" / "0")]) as made:
        assert made == {str(place.own): str(place.own / "flexkv" / "0")}
        assert not any(place.own.iterdir())
    link = place.link("0", place.folder)
    refused = pytest.raises(nofollow.UnsafePath, match=str(link))
    with refused, io_uring_probe.trial_directories([str(link)]):
        pass


def test_directory_of_roots_gets_one_for_the_trial(place: Place, user: None) -> None:
    path = place.own.parent
    with io_uring_probe.trial_directories([str(path / "flexkv" / "0")]) as made:
        (folder,) = map(Path, made)
        assert folder.parent == path
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (NOBODY.pw_uid, 0o700)
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_the_setting_is_read(tmp_path: Path) -> None:
    assert ssd.disabled(tmp_path) is None
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/io_uring_disabled").write_text("1\n")
    assert ssd.disabled(tmp_path) == 1


def run(*arguments: str) -> dict[str, Any]:
    """The program as it is run in a sandbox, but without one."""
    done = subprocess.run(
        [sys.executable, "-I", "-", *arguments],
        input=sandboxed.source(ring),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_data_goes_through_a_ring_and_comes_back(tmp_path: Path) -> None:
    seen = run(str(tmp_path), str(tmp_path / "none"))
    if seen["ring"]:
        pytest.skip(f"this machine has no io_uring for us: {seen['ring']}")
    missing = seen["directories"][str(tmp_path / "none")]
    assert missing.startswith("making a file in ")
    assert missing.endswith("fails: No such file or directory")
    here = seen["directories"][str(tmp_path)]
    assert here == "" or "O_DIRECT" in here  # a /tmp of an older kernel's tmpfs
    assert list(tmp_path.iterdir()) == []


def test_data_that_comes_back_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Liar:
        def transfer(self, *_: object) -> None:
            """Reads nothing, writes nothing."""

    with pytest.raises(ring.NoRing, match="is not what was written"):
        ring.try_directory(Liar(), str(tmp_path))


def test_nearest_directory(tmp_path: Path) -> None:
    assert io_uring_probe.nearest(str(tmp_path / "a/b")) == tmp_path
    assert io_uring_probe.nearest(str(tmp_path)) == tmp_path


def test_module_looks_without_writing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"host": "gpu1", "directories": [str(tmp_path), "/proc/x"], "write": False}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        io_uring_probe.main()
    result = json.loads(capsys.readouterr().out)
    assert result["written"] is False
    assert "proc" in [one["fstype"] for one in result["file_systems"]]
