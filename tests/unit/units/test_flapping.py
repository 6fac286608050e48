"""Units that systemd starts again and again: entries as its journal has them."""

from __future__ import annotations

import pytest
from ansible.module_utils.dynfleet import flapping

RESTART = {"MESSAGE_ID": flapping.RESTART}
GOOD_END = {"MESSAGE_ID": flapping.SUCCESS}
BAD_END = {"MESSAGE_ID": flapping.EXIT, "EXIT_CODE": "exited", "EXIT_STATUS": "1"}
KILLED = {"MESSAGE_ID": flapping.EXIT, "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], ""),
        ([GOOD_END, RESTART] * 2, ""),
        (
            [GOOD_END, RESTART] * 3,
            "restarted 3 times in 10 min by systemd, the last time after exit code 0",
        ),
        (
            [GOOD_END, RESTART, BAD_END, RESTART, BAD_END, RESTART],
            "restarted 3 times in 10 min by systemd, the last time after exit code 1",
        ),
        (
            [KILLED, RESTART] * 4,
            "restarted 4 times in 10 min by systemd, the last time after signal KILL",
        ),
        ([RESTART] * 3, "restarted 3 times in 10 min by systemd"),
    ],
)
def test_what_is_said(entries: list[dict[str, str]], said: str) -> None:
    assert flapping.judge(entries) == said


def test_a_steady_unit_costs_no_look_at_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert flapping.read("dynamo-worker@0.service", {"NRestarts": "2"}) == ""
    with pytest.raises(FileNotFoundError):
        flapping.read("dynamo-worker@0.service", {"NRestarts": "3"})
