"""Builds from beginning to end: made once, resumed where they failed, made anew where lost."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.build.command import CommandFailed, environment
from ansible.module_utils.dynfleet.build.errors import BuildError
from ansible.module_utils.dynfleet.build.inputs import Archive, Inputs, Patch, Step
from ansible.module_utils.dynfleet.lock import LockError
from build_cases import MAKE_WHEEL, build, commit, inputs, repository, runner

PATCH = "--- a/text\n+++ b/text\n@@ -1 +1 @@\n-one\n+mended\n"
ALL = ["fetch", "checkout", "pack", "wheels"]


@pytest.fixture
def what(tmp_path: Path) -> Inputs:
    first = repository(tmp_path / "remote", {"text": "one\n"})
    commit(tmp_path / "remote", {"text": "two\n"})
    return inputs((tmp_path / "remote").as_uri(), first)


def content(wheel: str) -> str:
    with zipfile.ZipFile(wheel) as opened:
        return opened.read("example.txt").decode()


def test_a_build_is_made_once(tmp_path: Path, what: Inputs) -> None:
    first = build(tmp_path / "root", what)
    assert first.pending() == ALL
    assert first.run("") == ALL
    result = build(tmp_path / "root", what).result()
    assert result == json.loads((first.directory / "build.json").read_text())
    wheel = result["wheels"][0]
    assert content(wheel["path"]) == "one\n"
    assert wheel["sha256"] == hashlib.sha256(Path(wheel["path"]).read_bytes()).hexdigest()
    assert (wheel["name"], wheel["version"]) == ("example", "1.0")
    assert result["origin"]["commit"] == what.commit
    assert result["origin"]["toolchain"]["python"].startswith("Python 3")
    assert sorted(path.name for path in first.directory.iterdir()) == [
        "build.json",
        "log",
        "wheels",
    ]
    logs = sorted(path.name for path in (first.directory / "log").iterdir())
    assert logs == ["01-fetch.log", "02-checkout.log", "03-pack.log", "04-wheels.log"]
    (tmp_path / "remote").rename(tmp_path / "gone")
    again = build(tmp_path / "root", what)
    assert again.pending() == [] and again.run("") == []


def test_check_touches_nothing(tmp_path: Path, what: Inputs) -> None:
    looked = build(tmp_path / "root", what)
    assert looked.pending() == ALL
    assert looked.result()["wheels"] == []
    assert not (tmp_path / "root").exists()


def test_stages_can_be_done_one_by_one(tmp_path: Path, what: Inputs) -> None:
    for number, stage in enumerate(ALL):
        step = build(tmp_path / "root", what)
        assert step.pending() == ALL[number:]
        assert step.run(stage) == [stage]
    assert build(tmp_path / "root", what).pending() == []


def test_a_failed_step_is_told_and_taken_up_again(tmp_path: Path, what: Inputs) -> None:
    count, switch = tmp_path / "count", tmp_path / "switch"
    before = Step("before", ["sh", "-c", f"echo x >>{count}; echo made >object"])
    fail = Step("compile", ["sh", "-c", f"echo some output; test -e {switch} || exit 3"])
    what = replace(what, steps=[before, fail, *what.steps])
    with pytest.raises(BuildError) as error:
        build(tmp_path / "root", what).run("")
    log = what.directory(tmp_path / "root") / "log" / "04-compile.log"
    said = str(error.value)
    assert f"step compile failed on {os.uname().nodename} after" in said
    assert "sh ended with status 3" in said
    assert f"Its log is {log}" in said and "some output" in log.read_text()
    assert said.splitlines()[-2:] == ["some output", "# sh ended with status 3"]
    switch.touch()
    again = build(tmp_path / "root", what)
    assert (again.source / "object").read_text() == "made\n"
    assert again.run("") == ["compile", "pack", "wheels"]
    assert count.read_text() == "x\n"


def test_a_flag_and_a_patch_give_another_build(tmp_path: Path, what: Inputs) -> None:
    root = tmp_path / "root"
    build(root, what).run("")
    flagged = replace(what, steps=[replace(what.steps[0], env={"FLAG": "{commit}"})])
    patched = replace(what, patches=(Patch("mend.patch", PATCH),))
    for other, text in ((flagged, f"one\n{what.commit}"), (patched, "mended\n")):
        made = build(root, other)
        made.run("")
        assert content(made.result()["wheels"][0]["path"]) == text
    assert made.result()["origin"]["patches"] == [
        {"name": "mend.patch", "sha256": hashlib.sha256(PATCH.encode()).hexdigest()}
    ]
    assert made.places["patched"] == hashlib.sha256(PATCH.encode()).hexdigest()[:8]
    assert len([path for path in root.glob("example-*") if path.is_dir()]) == 3


def test_a_lost_wheel_is_made_anew(tmp_path: Path, what: Inputs) -> None:
    first = build(tmp_path / "root", what)
    first.run("")
    Path(first.result()["wheels"][0]["path"]).write_text("rotten")
    assert first.pending() == ALL
    assert first.result()["wheels"] == []
    first.run("")
    assert first.pending() == []


def test_half_a_build_of_other_inputs_is_removed(tmp_path: Path, what: Inputs) -> None:
    root = tmp_path / "root"
    whole, half = build(root, what), build(root, replace(what, salt="half"))
    whole.run("")
    half.run("checkout")
    build(root, replace(what, salt="new")).run("fetch")
    assert whole.pending() == [] and not half.directory.exists()


def test_an_archive_is_had_by_digest(tmp_path: Path, what: Inputs) -> None:
    (tmp_path / "tool").write_text("tool\n")
    right = hashlib.sha256(b"tool\n").hexdigest()
    show = Step("show", ["sh", "-c", "cat {archives}/tool {files}/note"])
    wanted = replace(
        what,
        archives=(Archive("tool", (tmp_path / "tool").as_uri(), right),),
        files={"note": "a note"},
        steps=[show, *what.steps],
    )
    made = build(tmp_path / "root", wanted)
    made.run("")
    assert "tool\na note" in made.log("show").read_text()
    wrong = replace(wanted, archives=(replace(wanted.archives[0], sha256="0" * 64),))
    with pytest.raises(BuildError, match=f"has sha256 {right}, wanted is {'0' * 64}"):
        build(tmp_path / "other", wrong).run("")
    assert not list((tmp_path / "other/.cache/archives").iterdir())


def test_an_environment_is_what_the_lock_names(tmp_path: Path, what: Inputs) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "text").write_text("")
    done = [sys.executable, "-c", MAKE_WHEEL, str(tmp_path / "wheels")]
    subprocess.run(done, cwd=tmp_path, check=True, timeout=30)
    wheel = tmp_path / "wheels" / "example-1.0-py3-none-any.whl"
    # What pip takes for a wheel, more than our own check does.
    with zipfile.ZipFile(wheel, "a") as out:
        out.writestr("example-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        out.writestr("example-1.0.dist-info/RECORD", "")
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    ask = "import sysconfig; print(open(sysconfig.get_path('purelib') + '/example.txt').name)"
    show = Step("show", ["{python}", "-c", ask])
    locked = replace(
        what,
        lock=f"example @ {wheel.as_uri()} --hash=sha256:{right}\n",
        steps=[show, *what.steps],
    )
    made = build(tmp_path / "root", locked)
    made.run("")
    assert f"{made.work}/environment/" in made.log("show").read_text()
    wrong = replace(locked, lock=locked.lock.replace(right, "0" * 64))
    with pytest.raises(
        BuildError, match=r"(?s)step environment failed.*THESE PACKAGES DO NOT MATCH"
    ):
        build(tmp_path / "root", wrong).run("")


def test_places_are_checked_before_anything_is_done(tmp_path: Path, what: Inputs) -> None:
    typo = replace(what, steps=[Step("pack", ["{wheel}"])])
    with pytest.raises(BuildError, match=r"'\{wheel\}' names the place"):
        build(tmp_path / "root", typo).check()


def test_two_runs_wait_for_each_other(tmp_path: Path, what: Inputs) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / ".example.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(LockError, match=r"another run has held .*example.lock for 0 s"):
            build(root, what, timeout=0.1).run("")
    assert build(root, what).run("") == ALL


def test_commands_get_a_clean_environment(tmp_path: Path) -> None:
    inherited = {"https_proxy": "http://proxy", "SSL_CERT_FILE": "/ca", "API_TOKEN": "secret"}
    env = environment(inherited, tmp_path)
    assert env["https_proxy"] == "http://proxy" and env["SSL_CERT_FILE"] == "/ca"
    assert "API_TOKEN" not in env and env["HOME"] == str(tmp_path)


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    run = runner(tmp_path / "run", deadline=time.monotonic() + 0.5)
    with pytest.raises(CommandFailed, match=r"sh was ended after .* time for the build was over"):
        run.run(["sh", "-c", f"sleep 600 & echo $! >{tmp_path}/pid; wait"])
    assert time.monotonic() < run.deadline + 300
    child = int((tmp_path / "pid").read_text())
    for _ in range(50):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the child lives on")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/not/there"], "/not/there cannot be started: No such file"),
        (["sh", "-c", "kill -KILL $$"], r"sh was ended by signal 9 \(out of memory\?"),
    ],
)
def test_other_ends_of_a_command(tmp_path: Path, argv: list[str], said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        runner(tmp_path / "run").run(argv)
