"""Which release is current, which is good, and where a roll-back goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import release_good
from ansible.module_utils.dynfleet.release import links
from ansible.module_utils.testing import patch_module_args


def switch(root: Path, name: str, running: tuple[str, ...] = ()) -> None:
    links.switch(root, root / "releases" / name, running)


def back(root: Path) -> str:
    return Path(links.back(root)).name


def test_a_roll_back_passes_over_a_release_that_failed(tmp_path: Path) -> None:
    switch(tmp_path, "r1")
    links.close(tmp_path)
    switch(tmp_path, "r2", ("r1",))  # its canary fails: nothing closes
    assert back(tmp_path) == "r1"
    switch(tmp_path, "r3", ("r1", "r2"))
    links.close(tmp_path)
    assert back(tmp_path) == "r1"


def test_the_release_that_was_left_is_good_too(tmp_path: Path) -> None:
    for name in ("r1", "r2"):
        switch(tmp_path, name)
        links.close(tmp_path)
    assert back(tmp_path) == "r1"
    switch(tmp_path, "r1")
    links.close(tmp_path)
    assert back(tmp_path) == "r2"


def test_closing_twice_keeps_the_way_back(tmp_path: Path) -> None:
    for name in ("r1", "r2", "r2"):
        switch(tmp_path, name)
        links.close(tmp_path)
    assert back(tmp_path) == "r1"


def test_nothing_to_go_back_to(tmp_path: Path) -> None:
    assert back(tmp_path) == ""
    switch(tmp_path, "r1")
    links.close(tmp_path)
    assert back(tmp_path) == ""


def test_a_first_deploy_that_failed_is_no_way_back(tmp_path: Path) -> None:
    switch(tmp_path, "r1")
    switch(tmp_path, "r2")
    links.close(tmp_path)
    assert back(tmp_path) == ""


def test_what_an_earlier_version_called_previous_is_no_way_back(tmp_path: Path) -> None:
    links.point(tmp_path / "previous", str(tmp_path / "releases/r0"))
    switch(tmp_path, "r1")
    links.close(tmp_path)
    assert back(tmp_path) == ""


def test_where_no_roll_has_closed_yet_what_ran_is_the_way_back(tmp_path: Path) -> None:
    switch(tmp_path, "r1")
    switch(tmp_path, "r2", ("r1",))
    assert back(tmp_path) == "r1"
    links.close(tmp_path)
    assert back(tmp_path) == "r1"


class Shown:
    """Units as systemd would show them, for a machine that has none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **active: bool) -> None:
        monkeypatch.setattr(release_good, "look_at", self.look_at)
        self.active, self.release = active, "r1"

    def look_at(self, units: list[Any]) -> None:
        for unit in units:
            runs = self.active[unit.name.split("-")[1].split(".")[0].replace("@", "")]
            unit.state = {"ActiveState": "active" if runs else "failed"}
            unit.want = unit.have = "f" if runs else None
            unit.environ = f"DYNAMO_RELEASE=/opt/dynamo/releases/{self.release}/worker".encode()


def call(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        release_good.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments for a host with two workers, on a release that nothing has closed on."""
    switch(tmp_path, "r1")
    (tmp_path / "plan.json").write_text('{"workers": [{"index": 0}, {"index": 1}]}')
    (tmp_path / "drained").mkdir()
    monkeypatch.setattr(release_good.marks, "DRAINED", str(tmp_path / "drained"))
    return {"root": str(tmp_path), "plan": str(tmp_path / "plan.json")}


def test_a_release_is_good_once_all_of_a_host_runs(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Shown(monkeypatch, worker0=True, worker1=True)
    told = call(capsys, **host, _ansible_check_mode=True)
    assert (told["changed"], told["good"]) == (True, "")
    assert call(capsys, **host)["good"] == "r1"
    assert call(capsys, **host)["changed"] is False


def test_a_worker_that_does_not_run_leaves_it_open(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Shown(monkeypatch, worker0=True, worker1=False)
    assert call(capsys, **host)["good"] == ""
    # A drained one is not judged, unless nothing else is there to judge by.
    (Path(host["root"]) / "drained/worker-1").touch()
    assert call(capsys, **host)["good"] == "r1"


def test_a_host_whose_workers_are_all_drained_proves_nothing(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Shown(monkeypatch)
    for index in (0, 1):
        (Path(host["root"]) / f"drained/worker-{index}").touch()
    assert call(capsys, **host)["good"] == ""


def test_reading_notes_nothing(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Shown(monkeypatch, worker0=True, worker1=True)
    result = call(capsys, **host, note=False)
    assert (result["current"], result["good"], result["changed"]) == ("r1", "", False)
    assert result["counts"] is True


def test_a_release_that_only_lies_ready_is_not_good(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Shown(monkeypatch, worker0=True, worker1=True)
    shown.release = "r0"
    assert call(capsys, **host)["good"] == ""
