"""Releases on a host: which may go, and what is in use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ansible.module_utils.dynfleet.release import manifest, prune

PARTS = ["worker"]


def release(root: Path, name: str, age: int, whole: bool = True) -> Path:
    """A release of one part."""
    part = root / name / "worker"
    part.mkdir(parents=True)
    if whole:
        manifest.write(part, {"id": name, "python": "3.12.3", "lock_sha256": "0" * 64})
        os.utime(part / "manifest.json", (10_000 - age, 10_000 - age))
    return root / name


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_newest_stay_and_the_protected_ones_count(tmp_path: Path) -> None:
    for age in range(5):
        release(tmp_path, f"r{age}", age)
    assert names(prune.removable(tmp_path, 3, {"r4"}, PARTS)) == ["r2", "r3"]
    assert names(prune.removable(tmp_path, 1, {"r3", "r4"}, PARTS)) == ["r0", "r1", "r2"]
    assert names(prune.removable(tmp_path, 5, {"r0"}, PARTS)) == []


def test_what_a_killed_run_left_goes_unless_it_is_wanted(tmp_path: Path) -> None:
    release(tmp_path, "whole", 0)
    release(tmp_path, "half", 0, whole=False)
    release(tmp_path, ".half.work", 0, whole=False)
    (tmp_path / ".lock").touch()
    assert names(prune.removable(tmp_path, 3, {"whole"}, PARTS)) == [".half.work", "half"]
    assert names(prune.removable(tmp_path, 3, {"whole", "half"}, PARTS)) == [".half.work"]


def test_what_this_host_could_not_go_back_to_goes_unless_it_is_in_use(tmp_path: Path) -> None:
    release(tmp_path, "whole", 0)
    release(tmp_path, "lacks-frontend", 0)
    manifest.write(tmp_path / "lacks-frontend", {"python": "3.12.3"})  # as before there were parts
    for name in ("whole", "newer"):
        (tmp_path / name / "frontend").mkdir(parents=True)
        manifest.write(tmp_path / name / "frontend", {"python": "3.12.3"})
    parts = ["frontend", "worker"]
    assert names(prune.removable(tmp_path, 3, set(), parts)) == ["lacks-frontend", "newer"]
    assert names(prune.removable(tmp_path, 3, {"newer"}, parts)) == ["lacks-frontend"]


def test_release_that_a_process_runs_from_stays(tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    for age in range(4):
        release(releases, f"r{age}", age)
    # By its environment, by its arguments, and by a file that it has mapped.
    (releases / "r3" / "data").write_bytes(b"x" * 4096)
    mapped = f"import mmap; f = open('{releases}/r3/data'); m = mmap.mmap(f.fileno(), 0, prot=1)"
    wait = "sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()"
    mapping = f"import sys; exec(sys.stdin.readline()); f.close(); {wait}"
    commands = [
        ([sys.executable, "-c", f"import sys; {wait}"], {"DYNAMO_RELEASE": f"{releases}/r1"}),
        ([sys.executable, "-c", f"import sys; {wait}", f"--plugins={releases}/r2/lib"], {}),
        ([sys.executable, "-c", mapping], {}),
    ]
    running = [
        subprocess.Popen(argv, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for argv, env in commands
    ]
    try:
        running[2].stdin.write(f"{mapped}\n")
        running[2].stdin.flush()
        for process in running:
            assert process.stdout.readline() == "ready\n"
        assert prune.in_use(releases) == {"r1", "r2", "r3"}
        assert prune.unused(releases, 1, {"r0"}, PARTS) == []
    finally:
        for process in running:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
    assert names(prune.unused(releases, 1, {"r0"}, PARTS)) == ["r1", "r2", "r3"]


def test_other_release_with_a_longer_name_is_not_meant(tmp_path: Path) -> None:
    process = tmp_path / "proc" / "7"
    process.mkdir(parents=True)
    (process / "cmdline").write_bytes(b"/opt/r/set-1b/bin/python\0-m\0x\0")
    (process / "environ").write_bytes(b"PATH=/opt/r/set-2/bin:/usr/bin\0A=/opt/other/set-3\0")
    assert prune.in_use(Path("/opt/r"), tmp_path / "proc") == {"set-1b", "set-2"}


def test_removed_release_is_none_from_the_first_step_on(tmp_path: Path) -> None:
    path = release(tmp_path, "r", 0)
    assert manifest.made_for(path / "worker", "3.12")
    assert not manifest.made_for(path / "worker", "3.1")
    assert not manifest.made_for(path / "frontend", "3.12")
    prune.remove(path)
    assert not path.exists()


def test_damaged_manifest_is_none(tmp_path: Path) -> None:
    path = release(tmp_path, "r", 0) / "worker"
    (path / "manifest.json").write_text(json.dumps({"python": "3.12.3"})[:-3])
    assert manifest.read(path) is None
