"""The machine's forwarding switch, which all labs share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet import lab_network


@pytest.fixture(autouse=True)
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that stand for the kernel's switch and for the record of who has it on."""
    found = tmp_path / "ip_forward"
    found.write_text("0\n")
    monkeypatch.setattr(lab_network, "FORWARDING", found)
    monkeypatch.setattr(lab_network, "FORWARDING_RECORD", tmp_path / "labs.json")
    return found


def test_labs_that_come_and_go_together(switch: Path, tmp_path: Path) -> None:
    names = [f"lab{n}" for n in range(40)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lab_network.use_forwarding, names))
        assert lab_network.forwarding_users() == sorted(names)
        list(pool.map(lab_network.leave_forwarding, names[1:]))
        assert (lab_network.forwarding_users(), switch.read_text()) == (["lab0"], "1\n")
    lab_network.leave_forwarding("lab0")
    assert switch.read_text() == "0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["ip_forward"]
