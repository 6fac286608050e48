"""What the check of the inventory says of files on the controller: manifests and directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import model_cases as cases
import pytest
from ansible.module_utils.dynfleet.inputs import report, weights
from ansible.module_utils.dynfleet.inputs.catalogue import build
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host
from ansible.module_utils.dynfleet.model import manifest


def lines(**variables: Any) -> list[str]:
    """What is said of one worker host."""
    names = frozenset(variables)
    host = Host("gpu1", frozenset(("workers",)), variables, names, names)
    fleet = Fleet({"workers": ["gpu1"]}, {"gpu1": host}, build({}, {}), cases.ROOT)
    return [report.line(problem) for problem in weights.check(fleet)]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A model of the controller and its manifest beside it."""
    cases.write(tmp_path / "llama")
    path = tmp_path / "llama.json"
    path.write_text(json.dumps(manifest.content(cases.files())))
    return path


def test_directory_of_the_controller(listed: Path) -> None:
    given = {"model_source": f"controller:{listed.parent}/llama", "model_manifest": str(listed)}
    assert lines(**given) == []


def test_directory_of_the_controller_that_lacks_a_file(listed: Path) -> None:
    (listed.parent / "llama/config.json").write_bytes(b"{}")
    (line,) = lines(model_source=f"controller:{listed.parent}/llama", model_manifest=str(listed))
    assert "config.json has 2 bytes, model_manifest says 24; correct the directory" in line


def test_controller_needs_no_rsync(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    given = {"model_source": f"controller:{listed.parent}/llama", "model_manifest": str(listed)}
    assert lines(**given) == []


def test_directory_that_ansible_may_not_read(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root, who runs the tests, may read everything.
    monkeypatch.setattr(weights.os, "access", lambda path, _mode: path.name != "config.json")
    (line,) = lines(model_source=f"controller:{listed.parent}/llama", model_manifest=str(listed))
    assert "config.json may not be read by the user who runs Ansible; correct the directory" in line


def test_manifest_among_the_hosts(listed: Path) -> None:
    (listed.parent / "group_vars").mkdir()
    (line,) = lines(model_source="/mnt/llama", model_manifest=str(listed))
    assert "lies in the inventory's own directory, where Ansible takes it for a list of" in line


def test_manifest_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "llama.json"
    path.write_text('{"files": {"weights": {"size": 1, "sha256": "0"}}}')
    (line,) = lines(model_source="/mnt/llama", model_manifest=str(path))
    assert "'weights' has the sha256 '0', wanted are 64 hexadecimal digits; has no config" in line
