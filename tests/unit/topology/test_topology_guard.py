"""The guard: as the one file that hosts get, run as a unit would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.placement.plan import make_plan
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology import recorded, sysfs
from topology_captures import FOUR, PLAIN, matrix
from topology_hosts import PCIS, UUIDS, fake_smi, gpu_xml, query_xml

ROOT = Path(__file__).resolve().parents[3]
SAME, DIFFERENT, UNKNOWN = 0, 1, 2


class Host:
    """A host with a plan; `facts` is its recorded topology, to be changed by tests."""

    def __init__(self, guard: Path, folder: Path, facts: dict[str, Any]) -> None:
        self.guard, self.folder, self.facts = guard, folder, facts
        self.record = folder / "gpu_topology"
        self.write()
        self.keep(make_plan(recorded.read(str(self.record)), Wishes(), "gpu1"))

    def write(self) -> None:
        self.record.write_text(json.dumps(self.facts))

    def keep(self, plan: dict[str, Any]) -> None:
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def run(self, worker: int, *more: str, path: str = "") -> tuple[int, str]:
        """Exit status and messages of the guard; like a unit, without our environment."""
        done = subprocess.run(
            [
                *(sys.executable, "-I", str(self.guard)),
                *("--plan", str(self.folder / "plan.json"), "--worker", str(worker), *more),
            ],
            env={"PATH": path or "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    def swap(self, one: int, other: int) -> None:
        """The driver numbers two GPUs the other way round."""
        gpus, links = self.facts["gpus"], self.facts["links"]
        gpus[one], gpus[other] = gpus[other], gpus[one]
        gpus[one]["index"], gpus[other]["index"] = one, other
        links[one], links[other] = links[other], links[one]
        for row in links:
            row[one], row[other] = row[other], row[one]


@pytest.fixture
def host(guard: Path, tmp_path: Path) -> Host:
    lab = ROOT / "inventory" / "lab" / "topologies" / "h100-pcie-8-bridged.json"
    return Host(guard, tmp_path, json.loads(lab.read_text()))


def test_the_planned_topology(host: Host) -> None:
    begun = time.monotonic()
    assert [host.run(worker) for worker in range(4)] == [(SAME, "")] * 4
    assert time.monotonic() - begun < 4 * 2


def test_it_is_executable_by_the_hosts_own_python(guard: Path) -> None:
    assert guard.read_text().startswith("#!/usr/bin/python3 -I\n")
    assert os.access(guard, os.X_OK)


def test_a_gpu_is_gone(host: Host) -> None:
    del host.facts["gpus"][3]
    del host.facts["links"][3]
    for row in host.facts["links"]:
        del row[3]
    for index, gpu in enumerate(host.facts["gpus"]):
        gpu["index"] = index
    uuid = json.loads((host.folder / "plan.json").read_text())["workers"][2]["gpus"][0]["uuid"]
    host.write()
    status, told = host.run(2)
    assert status == DIFFERENT
    assert f"GPU 3 ({uuid}, 0000:61:00.0) is gone" in told
    # The others are addressed by UUID: fewer GPUs shift their indices, which harms nothing.
    assert [host.run(worker) for worker in (0, 1, 3)] == [(SAME, "")] * 3


def test_a_lost_gpu_counts_as_gone(host: Host) -> None:
    host.facts["gpus"][3]["lost"] = True
    host.write()
    assert "is gone" in host.run(2)[1]


def test_indices_do_not_matter_beside_a_lost_gpu(host: Host) -> None:
    """An entry for a lost GPU does not make as many as were planned: the others move up."""
    host.facts["gpus"][3]["lost"] = True
    host.swap(0, 1)
    host.write()
    assert host.run(0) == (SAME, "")


def test_a_link_has_fallen(host: Host) -> None:
    host.facts["links"][1][4] = host.facts["links"][4][1] = "NODE"
    host.write()
    status, told = host.run(1)
    assert status == DIFFERENT
    assert "link GPU 1 - GPU 4 was NV12, is NODE" in told
    assert "ansible-playbook playbooks/plan.yml --limit gpu1 shows the plan" in told
    assert host.run(0) == (SAME, "")


def test_indices_are_shuffled(host: Host) -> None:
    host.swap(0, 1)
    host.write()
    status, told = host.run(0)
    assert status == DIFFERENT
    assert "index was 0, is 1" in told
    assert host.run(3) == (SAME, "")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("pci", "0000:02:00.0", "pci was 0000:01:00.0, is 0000:02:00.0"),
        ("numa_node", 1, "numa_node was 0, is 1"),
        ("mig", "enabled", "mig was disabled, is enabled"),
    ],
)
def test_a_gpu_has_moved(host: Host, field: str, value: Any, told: str) -> None:
    host.facts["gpus"][0][field] = value
    host.write()
    assert told in host.run(0)[1]


def test_what_changes_by_itself_is_no_difference(host: Host) -> None:
    host.facts["driver"]["version"] = "590.1"
    host.facts["gpus"][0]["minor"] = 7
    host.facts["gpus"][0]["health"]["pcie_gen_current"] = 1
    host.facts["nvme"][0]["mounts"][0]["free_bytes"] = 1
    host.write()
    assert host.run(0) == (SAME, "")


def test_what_cannot_be_told(host: Host) -> None:
    assert host.run(9)[0] == UNKNOWN
    assert "the plan has workers 0 to 3, not 9" in host.run(9)[1]
    host.record.unlink()
    status, told = host.run(0)
    assert status == UNKNOWN
    assert "No such file" in told
    (host.folder / "plan.json").write_text("{")
    assert "is not JSON" in host.run(0)[1]
    (host.folder / "plan.json").unlink()
    assert "plan.json: No such file" in host.run(0)[1]


@pytest.fixture
def live(host: Host) -> Host:
    """The same, but planned from what nvidia-smi says, which is a fake: no GPU is at hand."""
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver that answers before the fake")
    facts = {
        **host.facts,
        "gpus": [
            {
                "index": index,
                "uuid": UUIDS[index],
                "pci": PCIS[index],
                "numa_node": sysfs.numa_node(Path("/"), PCIS[index], sysfs.nodes(Path("/"))),
                "mig": "disabled",
            }
            for index in range(4)
        ],
        "links": FOUR,
        "nvme": [],
        "network": [],
        "source": "live",
    }
    host.keep(make_plan(facts, Wishes(), "gpu1"))
    return host


ALL = query_xml([gpu_xml(index) for index in range(4)])


def test_live(live: Host) -> None:
    fake_smi(live.folder, ALL, PLAIN)
    path = f"{live.folder}:/usr/bin:/bin"
    assert live.run(0, path=path) == (SAME, "")
    fake_smi(live.folder, ALL, PLAIN.replace("NV4", "NODE"))
    assert "link GPU 0 - GPU 1 was NV4, is NODE" in live.run(0, path=path)[1]


def test_a_gpu_off_the_bus_stops_its_own_worker_only(live: Host) -> None:
    """GPU 1 is gone from both answers, and the indices of the others stay."""
    lost = f"Unable to determine the device handle for GPU1: {PCIS[1]}: Unknown Error\n"
    rest = [gpu_xml(index) for index in (0, 2, 3)]
    cells = [[FOUR[a][b] for b in (0, 2, 3)] for a in (0, 2, 3)]
    fake_smi(live.folder, lost + query_xml(rest), matrix(cells, ["GPU0", "GPU2", "GPU3"]))
    path = f"{live.folder}:/usr/bin:/bin"
    assert live.run(1, path=path) == (SAME, "")
    status, told = live.run(0, path=path)
    assert status == DIFFERENT
    assert f"GPU 1 ({UUIDS[1]}, {PCIS[1]}) is gone" in told
    assert "GPU 0" not in told


def test_names_of_processes_do_not_stop_a_worker(live: Host) -> None:
    names = "<processes><process_name>\x01&<\x00</process_name></processes></gpu>"
    fake_smi(live.folder, ALL.replace("</gpu>", names), PLAIN)
    assert live.run(0, path=f"{live.folder}:/usr/bin:/bin") == (SAME, "")


def test_a_hung_nvidia_smi(live: Host) -> None:
    fake_smi(live.folder, ALL, PLAIN, sleep=60)
    begun = time.monotonic()
    status, told = live.run(0, "--timeout", "0.5", path=f"{live.folder}:/usr/bin:/bin")
    assert time.monotonic() - begun < 3
    assert status == UNKNOWN
    assert "did not answer in time" in told


def test_no_driver(live: Host) -> None:
    status, told = live.run(0, path=str(live.folder))
    assert status == UNKNOWN
    assert "install the NVIDIA driver" in told


@pytest.mark.parametrize(
    "text", ["null", "[]", "{}", '{"host": "a", "source": "live", "idle": [], "workers": [{}]}']
)
def test_a_file_that_is_no_plan(host: Host, text: str) -> None:
    (host.folder / "plan.json").write_text(text)
    status, told = host.run(0)
    assert status == UNKNOWN
    assert "plan.json is no plan of this release" in told
    assert "Traceback" not in told
