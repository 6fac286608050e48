"""Who may take over a roll's lock."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dynfleet.day2 import lock

HOLDER: dict[str, Any] = {
    "run": "r1",
    "who": "anna@c1",
    "controller": "c1",
    "boot": "b1",
    "pid": 7,
    "started": "99",
    "since": "2026-01-05T10:00:00Z",
    "what": "restart all",
    "ended": "",
}


@pytest.mark.parametrize(
    ("holder", "me", "alive", "dead"),
    [
        ({}, {"controller": "c1", "boot": "b1"}, True, False),
        ({}, {"controller": "c1", "boot": "b1"}, False, True),
        ({}, {"controller": "c1", "boot": "b2"}, True, True),
        # Another controller's process cannot be seen from here.
        ({}, {"controller": "c2", "boot": "b1"}, False, False),
        ({"ended": "gpu1: failed"}, {"controller": "c2", "boot": "b2"}, True, True),
    ],
)
def test_dead(holder: dict[str, Any], me: dict[str, str], alive: bool, dead: bool) -> None:
    assert lock.dead({**HOLDER, **holder}, me, alive) is dead


def test_a_process_is_its_id_and_its_start() -> None:
    assert lock.process(HOLDER) == "7/99"


def test_only_the_same_wish_is_gone_on_with() -> None:
    assert lock.resumes(HOLDER, "restart all")
    assert not lock.resumes(HOLDER, "restart gpu1")
