"""Links by the PCI bus, where nvidia-smi does not tell them (nvidia-smi is a fake: no GPU here)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.topology import nvml, pcie, probe, smi, sysfs
from topology_captures import FOUR, PLAIN
from topology_hosts import PCIS, gpu_xml, numa, pci_device, query_xml

ALL = query_xml([gpu_xml(index) for index in range(4)])
SAID = "Failed to run topology matrix"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """GPUs 0 and 1 on one switch; 2 and 3 on host bridges of their own, node 1."""
    top = tmp_path / "root"
    switch = ["pci0000:16", "0000:16:01.0", "0000:17:00.0"]
    pci_device(top, [*switch, "0000:17:10.0", PCIS[0]], 0)
    pci_device(top, [*switch, "0000:17:14.0", PCIS[1]], 0)
    pci_device(top, ["pci0000:85", "0000:85:01.0", PCIS[2]], 1)
    pci_device(top, ["pci0000:ae", "0000:ae:01.0", PCIS[3]], 1)
    numa(top, 0, "0-3", ["0,1", "2,3"], 1024)
    numa(top, 1, "4-7", ["4,5", "6,7"], 1024)
    return top


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The topology of a host whose `nvidia-smi topo -m` prints a text and exits with a status."""

    def reading(top: Path, topo: str, code: int) -> dict[str, Any]:
        (tmp_path / "query.txt").write_text(ALL)
        (tmp_path / "topo.txt").write_text(topo)
        script = tmp_path / "nvidia-smi"
        script.write_text(
            f'#!/bin/sh\n[ "$1" = topo ] || exec cat {tmp_path}/query.txt\n'
            f"cat {tmp_path}/topo.txt\nexit {code}\n"
        )
        script.chmod(0o755)
        monkeypatch.setattr(nvml, "available", lambda: False)
        monkeypatch.setattr(smi, "program", lambda: str(script))
        return probe.probe([], 5, top)

    return reading


@pytest.mark.parametrize(("topo", "code"), [(SAID, 255), (SAID, 0), ("", 255)])
def test_links_come_from_the_bus(read: Any, root: Path, topo: str, code: int) -> None:
    found = read(root, topo, code)
    assert found["links"] == [
        ["X", "PIX", "SYS", "SYS"],
        ["PIX", "X", "SYS", "SYS"],
        ["SYS", "SYS", "X", "NODE"],
        ["SYS", "SYS", "NODE", "X"],
    ]
    assert found["status"] == "degraded"
    unread, by_bus = found["problems"]
    assert unread["code"] == "no_links"
    words = f"said '{topo}'" if topo else "printed nothing"
    assert unread["message"].startswith(f"nvidia-smi topo -m {words} (exit {code}): ")
    assert by_bus["code"] == pcie.FROM_SYSFS
    assert "does not show NVLink" in by_bus["message"]


def test_what_the_driver_tells_is_left_alone(read: Any, root: Path) -> None:
    found = read(root, PLAIN, 0)
    assert found["links"] == FOUR
    assert found["problems"] == []


def test_gpus_that_sysfs_does_not_show_have_no_known_link(read: Any, tmp_path: Path) -> None:
    """Their paths have nothing in common but /sys/bus/pci itself."""
    found = read(tmp_path / "empty", SAID, 255)
    assert found["links"][0] == ["X", "NONE", "NONE", "NONE"]
    assert [problem["code"] for problem in found["problems"]] == ["no_links"]
    assert sysfs.chain(tmp_path / "empty", PCIS[0]) == []
    assert {gpu["bridges"] for gpu in found["gpus"]} == {None}


def test_a_lost_gpu_has_no_link(root: Path) -> None:
    gpus = [{"pci": pci, "lost": pci == PCIS[1], "numa_node": 0} for pci in PCIS]
    assert pcie.links(gpus, root)[1] == ["NONE", "X", "NONE", "NONE"]


def test_bridges_above_each_gpu(read: Any, root: Path) -> None:
    found = read(root, PLAIN, 0)
    assert found["gpus"][0]["bridges"] == ["0000:16:01.0", "0000:17:00.0", "0000:17:10.0"]
    assert found["gpus"][2]["bridges"] == ["0000:85:01.0"]
