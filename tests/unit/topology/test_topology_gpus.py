"""GPUs by NVML and by nvidia-smi, on hosts that are well and on hosts that are not.

nvidia-smi and the NVML binding are fakes here (see topology_hosts): no GPU is at hand.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.topology import bounded, gpus, nvml, smi
from topology_captures import AFFINITY, FOUR, GPUS, PLAIN, matrix
from topology_hosts import (
    PCIS,
    UUIDS,
    FakeNvmlError,
    fake_nvml,
    fake_smi,
    gpu_xml,
    numa,
    pci_device,
    query_xml,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with four GPUs on two NUMA nodes."""
    top = tmp_path / "root"
    for index, pci in enumerate(PCIS):
        pci_device(top, [f"pci0000:{pci[5:7]}", pci], index // 2)
    numa(top, 0, "0-3", ["0,1", "2,3"], 1024)
    numa(top, 1, "4-7", ["4,5", "6,7"], 1024)
    return top


@pytest.fixture
def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "available", lambda: False)


def by_smi(
    monkeypatch: pytest.MonkeyPatch, root: Path, query: str, topo: str = PLAIN, **more: Any
) -> dict[str, Any]:
    script = fake_smi(root, query, topo, **more)
    monkeypatch.setattr(smi, "program", lambda: str(script))
    return gpus.read(2, root)


ALL = [gpu_xml(index) for index in range(4)]


@pytest.mark.usefixtures("no_nvml")
class TestNvidiaSmi:
    """Without nvidia-ml-py."""

    def test_a_host_that_is_well(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        found = by_smi(monkeypatch, root, query_xml(ALL))
        assert found["source"] == "nvidia-smi"
        assert found["status"] == "ok"
        assert found["driver"] == "580.95.05"
        assert found["cuda"] == "13.0"
        assert found["links"] == FOUR
        assert found["gpus"][2] == {
            "index": 2,
            "uuid": UUIDS[2],
            "pci": PCIS[2],
            "minor": 2,
            "name": "NVIDIA A40",
            "memory_bytes": 46068 << 20,
            "mig": "disabled",
            "lost": False,
            "numa_node": 1,
            "cpus": "4-7",
            "health": {
                "ecc_uncorrected_volatile": 0,
                "remap_pending": False,
                "remap_failure": False,
                "pcie_gen_current": 1,
                "pcie_gen_max": 4,
                "pcie_width_current": 16,
                "pcie_width_max": 16,
            },
        }

    def test_health(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        sick = gpu_xml(1, mig="Enabled", pending="Yes", uncorrectable="2", width="8x")
        gpu = by_smi(monkeypatch, root, query_xml([ALL[0], sick, *ALL[2:]]))["gpus"][1]
        assert gpu["mig"] == "enabled"
        assert gpu["health"]["remap_pending"] is True
        assert gpu["health"]["ecc_uncorrected_volatile"] == 2
        assert gpu["health"]["pcie_width_current"] == 8

    def test_not_available_values_are_null(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        gpu = by_smi(
            monkeypatch,
            root,
            query_xml([gpu_xml(0, mig="N/A", pending="N/A", uncorrectable="N/A")]),
        )["gpus"][0]
        assert gpu["mig"] is None
        assert gpu["health"]["remap_pending"] is None

    def test_a_gpu_off_the_bus_named_before_the_document(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        said = (
            "Unable to determine the device handle for GPU0000:AF:00.0: GPU is lost.  "
            "Reboot the system to recover this GPU\n"
        )
        three = matrix([row[:3] for row in FOUR[:3]], GPUS[:3], AFFINITY)
        found = by_smi(monkeypatch, root, said + query_xml(ALL[:3]), three, code=15)
        assert found["status"] == "degraded"
        assert [problem["code"] for problem in found["problems"]] == ["gpu_lost"]
        assert "0000:af:00.0: GPU is lost" in found["problems"][0]["message"]
        assert len(found["gpus"]) == 3

    def test_a_gpu_off_the_bus_in_the_document(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        found = by_smi(monkeypatch, root, query_xml([*ALL[:3], gpu_xml(3, "GPU is lost")]))
        assert found["gpus"][3]["lost"]
        assert found["status"] == "degraded"

    def test_a_lost_gpu_that_keeps_all_from_being_read(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        said = "Unable to determine the device handle for GPU 0000:3B:00.0: Unknown Error\n"
        found = by_smi(monkeypatch, root, said, said, code=15)
        assert found["status"] == "gpu_lost"
        assert found["gpus"] == []

    def test_a_gpu_that_only_the_bus_shows(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        found = by_smi(monkeypatch, root, query_xml(ALL[:3]))
        assert found["status"] == "degraded"
        assert found["problems"][0]["message"] == (
            f"GPU {PCIS[3]} is on the PCI bus, the driver does not show it"
        )

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            (
                "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
                "no_driver",
            ),
            ("Failed to initialize NVML: Driver/library version mismatch", "driver_mismatch"),
            ("No devices were found", "no_gpu"),
            ("Failed to initialize NVML: Unknown Error", "error"),
            ("", "error"),
        ],
    )
    def test_what_nvidia_smi_says_instead(
        self, monkeypatch: pytest.MonkeyPatch, root: Path, said: str, status: str
    ) -> None:
        found = by_smi(monkeypatch, root, said, said, code=9)
        assert found["status"] == status
        assert found["problems"][0]["code"] == status
        assert said in found["problems"][0]["message"]

    def test_no_nvidia_smi(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        monkeypatch.setattr(smi, "program", lambda: None)
        found = gpus.read(2, root)
        assert found["status"] == "no_driver"
        assert found["problems"][0]["message"].endswith("install the NVIDIA driver")

    def test_an_nvidia_smi_that_cannot_be_started(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(smi, "program", lambda: str(tmp_path))
        assert gpus.read(2, tmp_path)["status"] == "error"

    def test_a_hung_nvidia_smi(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        script = fake_smi(root, query_xml(ALL), PLAIN, sleep=30)
        monkeypatch.setattr(smi, "program", lambda: str(script))
        begun = time.monotonic()
        found = gpus.read(0.3, root)
        assert time.monotonic() - begun < 2
        assert found["status"] == "timeout"
        assert "-q -x' did not answer in time" in found["problems"][0]["message"]

    def test_links_that_cannot_be_read(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        found = by_smi(monkeypatch, root, query_xml(ALL), "\n".join(PLAIN.splitlines()[:3]))
        assert found["status"] == "degraded"
        assert found["problems"][0]["code"] == "no_links"
        assert found["links"][0] == ["X", "NONE", "NONE", "NONE"]

    def test_a_single_gpu_needs_no_matrix(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        found = by_smi(monkeypatch, tmp_path, query_xml(ALL[:1]), "")
        assert found["status"] == "ok"
        assert found["links"] == [["X"]]


class TestNvml:
    """With nvidia-ml-py."""

    @staticmethod
    def read(monkeypatch: pytest.MonkeyPatch, root: Path, **changes: Any) -> dict[str, Any]:
        monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(**changes))
        monkeypatch.setattr(nvml, "available", lambda: True)
        return gpus.read(2, root)

    def test_a_host_that_is_well(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        found = self.read(monkeypatch, root)
        assert (found["source"], found["status"]) == ("nvml", "ok")
        assert (found["driver"], found["cuda"]) == ("580.95.05", "13.0")
        assert found["links"] == [
            ["X", "NV4", "SYS", "SYS"],
            ["NV4", "X", "SYS", "SYS"],
            ["SYS", "SYS", "X", "NV18"],
            ["SYS", "SYS", "NV18", "X"],
        ]
        assert found["gpus"][0]["pci"] == PCIS[0]
        assert found["gpus"][0]["mig"] is None
        assert found["gpus"][3]["numa_node"] == 1
        assert found["gpus"][0]["health"]["remap_failure"] is True

    def test_switch_links_without_peer_access(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        found = self.read(monkeypatch, root, nvmlDeviceGetP2PStatus=lambda *_: 5)
        assert found["links"][2][3] == "SYS"

    def test_a_lost_gpu(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        def handle(index: int) -> int:
            if index == 2:
                raise FakeNvmlError(15)
            return index

        found = self.read(monkeypatch, root, nvmlDeviceGetHandleByIndex=handle)
        assert found["status"] == "degraded"
        assert found["gpus"][2]["lost"]
        assert found["links"][2] == ["NONE", "NONE", "X", "NONE"]
        assert found["problems"][0]["message"].startswith("NVML cannot reach GPU 2")

    def test_no_gpu(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        found = self.read(monkeypatch, tmp_path, nvmlDeviceGetCount=lambda: 0)
        assert found["status"] == "no_gpu"
        assert "none on the bus" in found["problems"][0]["message"]

    def test_a_hung_nvml(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(nvmlInit=lambda: time.sleep(30)))
        monkeypatch.setattr(nvml, "available", lambda: True)
        begun = time.monotonic()
        found = gpus.read(0.3, root)
        assert time.monotonic() - begun < 2
        assert found["status"] == "timeout"

    def test_a_binding_that_is_too_old(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        """A function that it lacks: nvidia-smi is asked instead."""
        script = fake_smi(root, query_xml(ALL), PLAIN)
        monkeypatch.setattr(smi, "program", lambda: str(script))
        module = fake_nvml()
        del module.nvmlDeviceGetRemappedRows
        monkeypatch.setitem(sys.modules, "pynvml", module)
        monkeypatch.setattr(nvml, "available", lambda: True)
        found = gpus.read(2, root)
        assert (found["source"], found["status"]) == ("nvidia-smi", "ok")

    def test_a_library_of_another_driver(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        """NVML fails to start, and nvidia-smi says the same in words."""
        said = "Failed to initialize NVML: Driver/library version mismatch"
        script = fake_smi(root, said, said, code=18)
        monkeypatch.setattr(smi, "program", lambda: str(script))

        def init() -> None:
            raise FakeNvmlError(18)

        assert self.read(monkeypatch, root, nvmlInit=init)["status"] == "driver_mismatch"


def test_a_function_that_dies() -> None:
    with pytest.raises(bounded.Failed, match="ended without an answer"):
        bounded.call(lambda: time.sleep(0) or __import__("os")._exit(1), "it", 2)


def test_a_command_is_killed_with_its_children() -> None:
    command = bounded.Command(["/bin/sh", "-c", "sleep 30 & wait"])
    begun = time.monotonic()
    with pytest.raises(bounded.Hung):
        command.finish(begun + 0.2)
    assert time.monotonic() - begun < 1.5
    assert command.process.poll() is not None
