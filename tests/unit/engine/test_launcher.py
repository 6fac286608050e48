"""The launcher-like extension is really compiled; what fails says why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet import sandboxed
from ansible.module_utils.dynfleet.engine import launcher


def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gcc").write_text(
        "#!/bin/sh\necho 'x.c:1:10: fatal error: no such thing' >&2; exit 1\n"
    )
    (tmp_path / "gcc").chmod(0o755)
    include = tmp_path / "include"
    include.mkdir()
    (include / "Python.h").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(launcher.sysconfig, "get_paths", lambda **_: {"include": str(include)})
    with pytest.raises(launcher.CannotBuild, match="fatal error: no such thing"):
        launcher.build(tmp_path, cuda=False)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gcc").touch(mode=0o755)
    monkeypatch.setattr(launcher.sysconfig, "get_paths", lambda **_: {"include": str(tmp_path)})
    monkeypatch.setenv("PATH", str(tmp_path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(
        launcher.CannotBuild, match=rf"Python.h is not there: .*python{version}-dev"
    ):
        launcher.build(tmp_path, cuda=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(launcher.CannotBuild, match="no C compiler"):
        launcher.build(tmp_path, cuda=False)


def test_the_drivers_library(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1\n"
    monkeypatch.setattr(launcher, "run", lambda *_: listed)
    assert launcher.driver_library() == ["-l:libcuda.so.1", "-L/usr/lib/x86_64-linux-gnu"]
    monkeypatch.setattr(launcher, "run", lambda *_: "2 libs found\n")
    with pytest.raises(launcher.CannotBuild, match="run ldconfig as root"):
        launcher.driver_library()


def test_program_runs_from_its_text(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-", str(tmp_path), "none"],
        input=sandboxed.source(launcher),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seen = json.loads(done.stdout)
    assert set(seen) == {"error", "ptxas", "memlock_bytes"}
    assert seen["error"] == "" or "Python.h" in seen["error"] or "compiler" in seen["error"]
    assert list(tmp_path.iterdir()) == []


def test_command_of_the_sandbox() -> None:
    directives = sandboxed.settings("# why\nUMask=0077\n\nLimitMEMLOCK=infinity\n")
    assert directives == ["UMask=0077", "LimitMEMLOCK=infinity"]
    argv = sandboxed.command("/opt/python", ["a b"], directives, {"UCX_TLS": "tcp"}, 30)
    assert argv[: argv.index("--")] == [
        *("systemd-run", "--quiet", "--wait", "--pipe", "--collect"),
        *("--property=User=dynamo", "--property=Group=dynamo"),
        *("--property=UMask=0077", "--property=LimitMEMLOCK=infinity"),
        *("--property=RuntimeMaxSec=30", "--setenv=HOME=/var/lib/dynamo", "--setenv=UCX_TLS=tcp"),
    ]
    assert argv[argv.index("--") + 1 :] == ["/opt/python", "-I", "-", "a b"]
