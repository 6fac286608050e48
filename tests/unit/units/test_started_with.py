"""What a unit was started with, though its process writes over its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet import systemd, units
from ansible.module_utils.dynfleet.day2.workers import Unit

PROJECT = Path(__file__).resolve().parents[3]
NAME = "dynamo-worker@0.service"
STARTED = {
    "INVOCATION_ID": "0123abcd",
    "DYNAMO_FINGERPRINT": "aa",
    "DYNAMO_RELEASE": "/opt/dynamo/releases/r1/worker",
    "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b",
}
ARGUMENTS: dict[bool, list[str]] = {
    True: [sys.executable, str(Path(__file__).parent / "wipe_environ.py")],
    False: ["/bin/sh", "-c", "echo ready; exec sleep 600"],
}


@pytest.fixture
def pid(request: pytest.FixtureRequest) -> Iterator[str]:
    """A process with that environment; one that wipes it where the parameter says so."""
    process = subprocess.Popen(
        ARGUMENTS[request.param], env=STARTED, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    yield str(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The role's program, with its directory elsewhere."""
    monkeypatch.setattr(systemd, "STARTED", str(tmp_path / "started"))
    program = (PROJECT / "roles/host/files/record-start").read_text()
    path = tmp_path / "record-start"
    path.write_text(program.replace("/run/dynamo-started", str(tmp_path / "started")))
    return path


def note(record: Path, **environ: str) -> None:
    subprocess.run(["/bin/sh", record, NAME], env={"PATH": os.defpath, **environ}, check=True)


def state(pid: str, invocation: str = STARTED["INVOCATION_ID"]) -> dict[str, str]:
    return {"Id": NAME, "MainPID": pid, "InvocationID": invocation, "ActiveState": "active"}


@pytest.mark.parametrize("pid", [True], indirect=True)
def test_a_process_that_wipes_its_environment_has_what_it_was_started_with(
    pid: str, record: Path
) -> None:
    assert b"DYNAMO" not in Path(f"/proc/{pid}/environ").read_bytes()
    note(record, **STARTED)
    assert systemd.running(state(pid)) == "aa"
    assert systemd.held_gpus(state(pid)) == ["GPU-a", "GPU-b"]
    unit = Unit(NAME)
    unit.look(state(pid))
    assert unit.have == "aa"
    assert b"DYNAMO_RELEASE=/opt/dynamo/releases/r1/worker\0" in unit.environ


@pytest.mark.parametrize("pid", [False], indirect=True)
def test_the_note_of_another_start_says_nothing(pid: str, record: Path) -> None:
    note(record, **{**STARTED, "INVOCATION_ID": "earlier", "DYNAMO_FINGERPRINT": "bb"})
    assert systemd.running(state(pid)) == "aa"
    # Nor does one of no start at all.
    note(record, **{**STARTED, "INVOCATION_ID": "", "DYNAMO_FINGERPRINT": "bb"})
    assert systemd.running(state(pid, "")) == "aa"


@pytest.mark.parametrize("pid", [False], indirect=True)
def test_a_unit_of_an_earlier_version_is_asked_itself(pid: str, record: Path) -> None:
    assert systemd.running(state(pid)) == "aa"
    assert systemd.held_gpus(state(pid)) == ["GPU-a", "GPU-b"]


def test_no_process_has_nothing(record: Path) -> None:
    note(record, **STARTED)
    assert systemd.running(state("0")) is None


def test_what_a_unit_does_not_have_is_not_noted(record: Path) -> None:
    note(record, INVOCATION_ID="0123abcd", DYNAMO_FINGERPRINT="aa")
    noted = Path(systemd.STARTED, NAME).read_bytes()
    assert noted == b"INVOCATION_ID=0123abcd\nDYNAMO_FINGERPRINT=aa\n"
    assert Path(systemd.STARTED, NAME).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in Path(systemd.STARTED).iterdir()] == [NAME]
    assert units.listed(units.from_file(noted), "CUDA_VISIBLE_DEVICES") == []


@pytest.mark.parametrize(
    "template", sorted(PROJECT.glob("roles/*/templates/*.service.j2")), ids=lambda path: path.name
)
def test_every_unit_with_a_fingerprint_notes_it_last_before_its_process(template: Path) -> None:
    lines = template.read_text().splitlines()
    if "EnvironmentFile=/etc/dynamo/fingerprint/%n.env" not in lines:
        pytest.fail(f"{template} has no fingerprint: site.yml would never restart it")
    before = [line for line in lines if line.startswith("ExecStartPre=")]
    # As root, in a directory that the service's user cannot write; no start fails by it.
    assert before[-1] == "ExecStartPre=-+/usr/lib/dynamo/record-start %n"
