"""What lies near the GPUs, read from a /sys and /proc that the test wrote."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.topology import nvml, probe, smi, storage, sysfs
from topology_captures import AFFINITY, FOUR, GPUS, matrix
from topology_hosts import PCIS, fake_smi, gpu_xml, numa, pci_device, query_xml, write

SWITCH = ["pci0000:16", "0000:16:01.0", "0000:17:00.0"]  # root complex, root port, upstream port


def acs_space(control: int) -> bytes:
    """Configuration space with an ACS capability behind another one."""
    space = bytearray(4096)
    struct.pack_into("<I", space, 0x100, 0x0001 | 1 << 16 | 0x148 << 20)
    struct.pack_into("<I", space, 0x148, 0x000D | 1 << 16)
    struct.pack_into("<HH", space, 0x148 + 4, 0x7F, control)
    return bytes(space)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two GPUs, an NVMe and a NIC; the NVMe and the NIC share a switch with GPU 0."""
    top = tmp_path / "root"
    pci_device(top, [*SWITCH, "0000:18:00.0", PCIS[0].replace("18", "19")], 0)
    pci_device(top, ["pci0000:86", "0000:86:01.0", PCIS[2].replace("86", "87")], 1)
    drive = pci_device(top, [*SWITCH, "0000:18:04.0", "0000:1a:00.0"], 0, "0x010802")
    nic = pci_device(top, [*SWITCH, "0000:18:08.0", "0000:1b:00.0"], 0, "0x020700")
    numa(top, 0, "0-3", ["0,2", "1,3"], 2048)
    numa(top, 1, "4-7", ["4,6", "5,7"], 2048)
    # The NVMe with a partition, in a RAID with itself only.
    block = drive / "nvme/nvme0/nvme0n1"
    write(block / "size", "7814037168")
    write(block / "dev", "259:0")
    write(block / "nvme0n1p1/partition", "1")
    write(block / "nvme0n1p1/dev", "259:1")
    raid = top / "sys/devices/virtual/block/md0"
    write(raid / "dev", "9:0")
    (raid / "slaves").mkdir()
    (raid / "slaves/nvme0n1p1").symlink_to(block / "nvme0n1p1")
    links = {
        "sys/block/nvme0n1": block,
        "sys/dev/block/259:1": block / "nvme0n1p1",
        "sys/dev/block/9:0": raid,
        "sys/class/infiniband/mlx5_0": nic / "infiniband/mlx5_0",
        "sys/class/net/ib0": nic / "net/ib0",
        "sys/class/net/lo": top / "sys/devices/virtual/net/lo",
    }
    port = nic / "infiniband/mlx5_0/ports/1"
    for name, value in {
        "state": "4: ACTIVE",
        "link_layer": "InfiniBand",
        "lid": "0x2b",
        "rate": "400 Gb/sec (4X NDR)",
    }.items():
        write(port / name, value)
    write(nic / "net/ib0/operstate", "up")
    (nic / "net/ib0/device").symlink_to(nic)
    write(top / "sys/devices/virtual/net/lo/operstate", "unknown")
    for name, target in links.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).symlink_to(target)
    write(
        top / "proc/self/mountinfo",
        "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "21 20 9:0 / /nvme\\0400 rw,noatime shared:2 - xfs /dev/md0 rw,attr2\n"
        "22 20 0:50 / /net rw - nfs4 server:/export rw",
    )
    (top / "nvme 0/flexkv").mkdir(parents=True)
    (top / "nvme 0/flexkv/block").write_bytes(b"x" * 8192)
    write(top / "proc/cmdline", "quiet iommu=pt intel_iommu=on")
    write(top / "proc/cpuinfo", "processor : 0\nmodel name : Test CPU")
    write(top / "sys/devices/system/cpu/online", "0-7")
    write(top / "sys/devices/system/cpu/cpu0/topology/physical_package_id", "0")
    write(top / "sys/devices/system/cpu/cpu4/topology/physical_package_id", "1")
    write(top / "sys/module/nvidia/version", "580.95.05")
    (top / "sys/module/nvidia_fs").mkdir()
    write(top / "sys/kernel/iommu_groups/0/type", "identity")
    (top / "sys/bus/pci/devices/0000:16:01.0").symlink_to(
        top / "sys/devices/pci0000:16/0000:16:01.0"
    )
    (top / "sys/devices/pci0000:16/0000:16:01.0/config").write_bytes(acs_space(0x1D))
    return top


@pytest.fixture
def topology(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    gpus = [gpu_xml(0).replace("18:00.0", "19:00.0"), gpu_xml(1).replace("3B:00.0", "87:00.0")]
    two = matrix([row[:2] for row in FOUR[:2]], GPUS[:2], AFFINITY)
    script = fake_smi(root, query_xml(gpus), two)
    monkeypatch.setattr(nvml, "available", lambda: False)
    monkeypatch.setattr(smi, "program", lambda: str(script))
    return probe.probe(["/nvme 0/flexkv", "/srv/none", "/net/x"], 5, root)


def test_gpus_and_links(topology: dict[str, Any]) -> None:
    assert topology["status"] == "ok"
    assert [gpu["numa_node"] for gpu in topology["gpus"]] == [0, 1]
    assert topology["links"] == [["X", "NV4"], ["NV4", "X"]]
    assert topology["driver"] == {"version": "580.95.05", "cuda": "13.0"}


def test_nvme(topology: dict[str, Any]) -> None:
    (drive,) = topology["nvme"]
    assert drive["name"] == "nvme0n1"
    assert drive["pci"] == "0000:1a:00.0"
    assert drive["size_bytes"] == 7814037168 * 512
    assert drive["distance"] == ["PIX", "SYS"]
    (mount,) = drive["mounts"]
    assert (mount["path"], mount["device"], mount["fstype"]) == ("/nvme 0", "/dev/md0", "xfs")
    assert mount["options"] == "rw,noatime,attr2"
    assert mount["free_bytes"] > 0


def test_network(topology: dict[str, Any]) -> None:
    """The loopback is virtual; ib0 is named by its RDMA port."""
    assert topology["network"] == [
        {
            "name": "mlx5_0",
            "kind": "rdma",
            "port": 1,
            "state": "ACTIVE",
            "link_layer": "InfiniBand",
            "lid": 43,
            "rate": "400 Gb/sec (4X NDR)",
            "netdev": "ib0",
            "pci": "0000:1b:00.0",
            "numa_node": 0,
            "distance": ["PIX", "SYS"],
        }
    ]


def test_numa_nodes(topology: dict[str, Any]) -> None:
    node = topology["numa_nodes"][1]
    assert node["cpus"] == "4-7"
    assert node["cores"] == ["4,6", "5,7"]
    assert node["memory_bytes"] == 2048 * 1024
    assert node["hugepages"] == [{"size_bytes": 2 << 20, "total": 8, "free": 6}]


def test_kernel(topology: dict[str, Any]) -> None:
    assert topology["kernel_modules"]["nvidia"] == "580.95.05"
    assert topology["kernel_modules"]["nvidia_fs"] == "loaded"
    assert topology["kernel_modules"]["gdrdrv"] is None
    assert topology["iommu"] == {
        "groups": 1,
        "types": ["identity"],
        "cmdline": ["iommu=pt", "intel_iommu=on"],
    }
    assert topology["acs"] == {"bridges": 1, "redirecting": ["0000:16:01.0"]}
    assert topology["cpu"] == {"model": "Test CPU", "online": "0-7", "sockets": 2}


def test_paths(topology: dict[str, Any]) -> None:
    own, absent, remote = topology["paths"]
    assert (own["mount"], own["devices"]) == ("/nvme 0", ["nvme0n1"])
    assert own["own_bytes"] >= 8192
    assert (absent["mount"], absent["own_bytes"]) == ("/", 0)
    assert (remote["mount"], remote["free_bytes"], remote["own_bytes"]) == ("/net", None, None)


def test_every_value_says_its_source(topology: dict[str, Any]) -> None:
    def leaves(value: Any, path: str) -> list[str]:
        if isinstance(value, dict):
            return [one for key, more in value.items() for one in leaves(more, f"{path}.{key}")]
        if isinstance(value, list):
            return [one for more in value for one in leaves(more, path)]
        return [path.lstrip(".")]

    sources = topology["sources"]
    own = {"schema", "source", "status", "problems"}
    for path in leaves({k: v for k, v in topology.items() if k not in own | {"sources"}}, ""):
        parts = path.split(".")
        assert any(".".join(parts[:end]) in sources for end in range(1, len(parts) + 1)), path


def test_it_is_plain_json(topology: dict[str, Any]) -> None:
    assert json.loads(json.dumps(topology)) == topology


@pytest.mark.parametrize(
    ("other", "node", "link"),
    [
        ([*SWITCH, "0000:18:04.0", "0000:1a:00.0"], 0, "PIX"),
        (["pci0000:16", "0000:16:01.0", "0000:1c:00.0"], 0, "PXB"),
        (["pci0000:16", "0000:16:02.0", "0000:1d:00.0"], 0, "PHB"),
        (["pci0000:30", "0000:30:01.0", "0000:31:00.0"], 0, "NODE"),
        (["pci0000:86", "0000:86:01.0", "0000:87:00.0"], 1, "SYS"),
        (["pci0000:30", "0000:30:01.0", "0000:31:00.0"], None, "SYS"),
    ],
)
def test_distance(other: list[str], node: int | None, link: str) -> None:
    assert sysfs.distance([*SWITCH, "0000:18:00.0", "0000:19:00.0"], other, 0, node) == link


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("00000000:3B:00.0", "0000:3b:00.0"),
        ("0000:3b:00.0", "0000:3b:00.0"),
        ("00010000:01:00.0", "10000:01:00.0"),
    ],
)
def test_address(raw: str, address: str) -> None:
    assert sysfs.address(raw) == address


def test_node_of_a_host_with_one(tmp_path: Path) -> None:
    """A virtual machine says -1; with one node it can only be that one."""
    pci_device(tmp_path, ["pci0000:00", "0000:00:05.0"], -1)
    assert sysfs.numa_node(tmp_path, "0000:00:05.0", [0]) == 0
    assert sysfs.numa_node(tmp_path, "0000:00:05.0", [0, 1]) is None


def test_a_tree_too_large_to_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_ENTRIES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    write(tmp_path / "proc/self/mountinfo", "20 1 8:1 / / rw - ext4 /dev/sda1 rw")
    assert storage.directory(tmp_path, "/")["own_bytes"] is None


def test_a_host_without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "available", lambda: False)
    monkeypatch.setattr(smi, "program", lambda: None)
    found = probe.probe(["/srv"], 1, tmp_path)
    assert found["status"] == "no_driver"
    assert found["paths"][0]["mount"] is None
