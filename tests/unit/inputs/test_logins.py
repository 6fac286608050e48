"""What is said of a controller that cannot type in passwords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.inputs import logins, report
from ansible.module_utils.dynfleet.inputs.catalogue import build
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host

ASKED: dict[str, Any] = {"ansible_password": "!", "ansible_ssh_password_mechanism": "sshpass"}


def lines(variables: dict[str, Any]) -> list[str]:
    """What is said of one host."""
    names = frozenset(variables)
    host = Host("gpu1", frozenset(("workers",)), variables, names, names)
    fleet = Fleet({"workers": ["gpu1"]}, {"gpu1": host}, build({}, {}), Path("/"))
    return [report.line(problem) for problem in logins.check(fleet)]


def test_password_without_sshpass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    (line,) = lines(ASKED)
    assert line == (
        'gpu1: ansible_ssh_password_mechanism = "sshpass": the controller has no sshpass; apt '
        "install sshpass, or leave it at ssh_askpass, which needs no program"
    )


@pytest.mark.parametrize(
    "change", [{"ansible_ssh_password_mechanism": "ssh_askpass"}, {"ansible_connection": "local"}]
)
def test_password_that_needs_no_sshpass(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert lines({**ASKED, **change}) == []


@pytest.mark.parametrize(
    "given",
    [
        {"ansible_user": "ops"},
        {"ansible_user": "ops", "ansible_become": True},
        {"ansible_user": "root", "ansible_become": False},
        {"ansible_user": "ops", "ansible_become": "yes", "ansible_become_user": "root"},
    ],
)
def test_logins_that_may_become_root(given: dict[str, Any]) -> None:
    assert lines(given) == []
