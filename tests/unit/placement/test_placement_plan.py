"""The plan: what workers get, what is refused, what is told."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible.module_utils.dynfleet.placement.explain import table
from ansible.module_utils.dynfleet.placement.plan import Refusal, make_plan
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology import recorded
from placement_cases import FIXTURES, IDS, LAB, MACHINES

PORTS = {
    "worker_system": 9100,
    "worker_request": 9200,
    "worker_flexkv_metrics": 9300,
    "worker_flexkv_cpp_metrics": 9400,
    "worker_vllm": 21000,
}


@pytest.fixture
def bridged() -> dict[str, Any]:
    """8x H100 PCIe with bridges (0,2) (1,4) (3,5) (6,7); NUMA node 0 is {0,1,2,4}."""
    return recorded.read(str(LAB / "h100-pcie-8-bridged.json"))


@pytest.fixture
def hgx() -> dict[str, Any]:
    """8x H200 on NVSwitch, four a NUMA node, a NIC and an NVMe near each."""
    return recorded.read(str(LAB / "hgx-h200-8.json"))


def plan_of(topology: dict[str, Any], **wishes: Any) -> dict[str, Any]:
    return make_plan(topology, Wishes(**wishes), "gpu1")


def violations(topology: dict[str, Any], **wishes: Any) -> list[str]:
    with pytest.raises(Refusal) as caught:
        plan_of(topology, **wishes)
    assert str(caught.value).startswith("gpu1: ")
    return caught.value.violations


def groups(plan: dict[str, Any]) -> list[list[int]]:
    return [[gpu["index"] for gpu in worker["gpus"]] for worker in plan["workers"]]


def test_bridges_are_used(bridged: dict[str, Any]) -> None:
    plan = plan_of(bridged, ports=PORTS, memory_gib=100)
    assert groups(plan) == [[0, 2], [1, 4], [3, 5], [6, 7]]
    assert [worker["link"] for worker in plan["workers"]] == ["NV12"] * 4
    assert plan["index_order"]["groups"] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert plan["index_order"]["cost"] == (
        "weakest link SYS instead of NV12; 1240 link points instead of 4800;"
        " 2 groups across NUMA nodes instead of 0"
    )
    assert plan["runner_up"]["groups"] == [[0, 1], [2, 4], [3, 5], [6, 7]]
    assert not plan["forced"]
    assert plan["idle"] == []


def test_a_worker_has_everything_that_its_unit_needs(bridged: dict[str, Any]) -> None:
    roots = ("/nvme0/flexkv", "/nvme1/flexkv", "/nvme2/flexkv", "/nvme3/flexkv")
    worker = plan_of(bridged, ports=PORTS, memory_gib=100, ssd_roots=roots)["workers"][3]
    assert worker["gpus"][0] == {
        "index": 6,
        "uuid": bridged["gpus"][6]["uuid"],
        "pci": "0000:c1:00.0",
        "minor": 6,
        "numa_node": 1,
        "mig": "disabled",
    }
    assert worker["numa_node"] == 1
    assert worker["cpus"] == "48-63,112-127"
    assert worker["ssd_dirs"] == ["/nvme2/flexkv/3", "/nvme3/flexkv/3"]
    assert worker["net_devices"] == ["mlx5_1:1"]
    assert worker["memory_bytes"] == 100 * 1024**3
    assert worker["ports"] == {
        "system": 9103,
        "request": 9203,
        "flexkv_metrics": 9303,
        "flexkv_cpp_metrics": 9403,
        "vllm": 21060,
    }


def test_cpus_of_a_node_are_divided_by_whole_cores(hgx: dict[str, Any]) -> None:
    plan = plan_of(hgx, group_size=1)
    lists = [worker["cpus"] for worker in plan["workers"][:4]]
    assert lists == ["0-13,112-125", "14-27,126-139", "28-41,140-153", "42-55,154-167"]


def test_cpus_are_shared_where_cores_are_not_known(hgx: dict[str, Any]) -> None:
    for node in hgx["numa_nodes"]:
        node["cores"] = []
    assert plan_of(hgx)["workers"][0]["cpus"] == "0-55,112-167"


def test_network_devices_are_those_of_each_gpu(hgx: dict[str, Any]) -> None:
    hgx["network"][1]["state"] = "DOWN"
    hgx["network"][2]["lid"] = 0  # InfiniBand without a subnet manager
    plan = plan_of(hgx)
    assert plan["workers"][2]["net_devices"] == ["mlx5_4:1", "mlx5_5:1"]
    assert plan["workers"][0]["net_devices"] == ["mlx5_0:1", "mlx5_3:1", "mlx5_8:1"]


def test_ssd_directories_nearest_first(hgx: dict[str, Any]) -> None:
    """Worker 0 has GPUs 0 and 1; a drive is PXB to one GPU and NODE to its neighbours."""
    plan = plan_of(hgx, group_size=1, ssd_roots=("/nvme0/c", "/nvme1/c", "/nvme4/c"))
    assert plan["workers"][1]["ssd_dirs"] == ["/nvme1/c/1", "/nvme0/c/1"]
    assert plan["workers"][4]["ssd_dirs"] == ["/nvme4/c/4"]


def test_all_ssd_directories_where_none_is_near(hgx: dict[str, Any]) -> None:
    plan = plan_of(hgx, ssd_roots=("/srv/a", "/srv/b"))
    assert plan["workers"][1]["ssd_dirs"] == ["/srv/a/1", "/srv/b/1"]


def test_a_group_across_nodes_has_no_node_and_no_cpus(hgx: dict[str, Any]) -> None:
    worker = plan_of(hgx, group_size=8)["workers"][0]
    assert worker["numa_node"] is None
    assert worker["cpus"] is None


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("mig", "enabled", "MIG is enabled"),
        ("lost", True, "the driver does not reach it any more (fallen off the bus)"),
        ("health", {"remap_pending": True}, "a memory row remap is pending: reset the GPU"),
        (
            "health",
            {"remap_failure": True},
            "a memory row could not be remapped: have the GPU replaced",
        ),
        (
            "health",
            {"ecc_uncorrected_volatile": 3},
            "3 uncorrectable ECC errors since the driver was loaded: reset the GPU",
        ),
    ],
)
def test_unfit_gpus_are_out_with_the_reason(
    hgx: dict[str, Any], key: str, value: Any, reason: str
) -> None:
    hgx["gpus"][5][key] = value
    plan = plan_of(hgx)
    assert groups(plan) == [[0, 1], [2, 3], [4, 6]]
    assert plan["idle"][0] == {"index": 5, "uuid": hgx["gpus"][5]["uuid"], "reason": reason}
    assert plan["idle"][1]["index"] == 7
    assert plan["idle"][1]["reason"].startswith("left over: 7 GPUs make 3 groups of 2")


def test_excluded_by_index_or_uuid(hgx: dict[str, Any]) -> None:
    plan = plan_of(hgx, exclude=("3", hgx["gpus"][2]["uuid"]))
    assert groups(plan) == [[0, 1], [4, 5], [6, 7]]
    assert {idle["index"]: idle["reason"] for idle in plan["idle"]} == {
        2: "excluded by placement_exclude",
        3: "excluded by placement_exclude",
    }


def test_layout_by_hand_is_honoured_and_its_cost_told(bridged: dict[str, Any]) -> None:
    layout = (("0", "1"), ("3", bridged["gpus"][5]["uuid"]))
    plan = plan_of(bridged, layout=layout)
    assert plan["by_hand"]
    assert groups(plan) == [[0, 1], [3, 5]]
    assert plan["cost"] == "weakest link NODE instead of NV12; 1220 link points instead of 4800"
    assert [idle["index"] for idle in plan["idle"]] == [2, 4, 6, 7]
    assert plan["idle"][0]["reason"] == "not in placement_layout"
    assert not plan["forced"]  # something better exists, so it is not the host


def test_every_violation_is_told_at_once(bridged: dict[str, Any]) -> None:
    bridged["gpus"][7]["mig"] = "enabled"
    told = violations(
        bridged,
        layout=(("0", "0"), ("1", "9", "2"), ("6", "7")),
        exclude=("GPU-nobody",),
        cpu_cache_gib=300,
        memory_gib=200,
    )
    assert told == [
        "placement_exclude names 'GPU-nobody', which is no GPU here (indices 0, 1, 2, 3, 4, 5, 6,"
        " 7, or a UUID)",
        "placement_layout group 0 ['0', '0']: GPU '0' is named twice",
        "placement_layout group 1 ['1', '9', '2'] has 3 GPUs, placement_group_size is 2",
        "placement_layout group 1 ['1', '9', '2']: '9' is no GPU of this host",
        "placement_layout group 2 ['6', '7']: GPU '7' cannot be used: MIG is enabled",
        "placement_cpu_cache_gib 300 does not fit into the worker's placement_memory_gib 200",
    ]


def test_limits_name_every_group(bridged: dict[str, Any]) -> None:
    told = violations(
        bridged,
        layout=(("0", "1"), ("2", "3"), ("4", "5"), ("6", "7")),
        min_link="NV1",
        same_numa=True,
    )
    assert told == [
        "GPUs 0+1: weakest link NODE, placement_min_link is NV1",
        "GPUs 2+3: weakest link SYS, placement_min_link is NV1",
        "GPUs 2+3: on NUMA nodes 0, 1, placement_same_numa wants one node",
        "GPUs 4+5: weakest link SYS, placement_min_link is NV1",
        "GPUs 4+5: on NUMA nodes 0, 1, placement_same_numa wants one node",
    ]


def test_a_limit_that_is_no_link_class(hgx: dict[str, Any]) -> None:
    assert violations(hgx, min_link="NVLINK") == [
        "placement_min_link: 'NVLINK' is not a link class: use SYS, NODE, PHB, PXB, PIX or NV1,"
        " NV2, ..."
    ]


def test_memory_is_checked_for_each_numa_node(bridged: dict[str, Any]) -> None:
    """504 GiB a node, two workers on each."""
    assert plan_of(bridged, memory_gib=252)["workers"]
    assert violations(bridged, memory_gib=253) == [
        f"NUMA node {node} has 504 GiB of memory, 2 workers want 506 GiB: set placement_memory_gib"
        " to at most 252"
        for node in (0, 1)
    ]
    assert len(violations(bridged, cpu_cache_gib=253)) == 2


def test_a_virtual_machine_with_one_h200() -> None:
    """As gpu_topology read it; of its memory the kernel had 15 GiB on the node at that time."""
    machine = recorded.read(str(FIXTURES / "h200-vm.json"))
    tiers = {"ssd_roots": ("/ssd0/flexkv",), "ssd_cache_gib": 40}
    plan = plan_of(machine, group_size=1, ports=PORTS, cpu_cache_gib=8, **tiers)
    (worker,) = plan["workers"]
    assert worker["gpus"][0]["uuid"] == machine["gpus"][0]["uuid"]
    assert (worker["numa_node"], worker["cpus"]) == (0, "0-15")
    assert worker["ssd_dirs"] == ["/ssd0/flexkv/0"]
    assert violations(machine, group_size=1, cpu_cache_gib=32) == [
        "NUMA node 0 has 15 GiB of memory, 1 workers want 32 GiB: set placement_cpu_cache_gib"
        " to at most 14"
    ]


def test_disk_is_checked_for_each_file_system(bridged: dict[str, Any]) -> None:
    """3550 GiB a drive; two workers share two drives."""
    roots = ("/nvme0/flexkv", "/nvme1/flexkv", "/nvme2/flexkv", "/nvme3/flexkv")
    assert plan_of(bridged, ssd_roots=roots, ssd_cache_gib=3000)["workers"]
    told = violations(bridged, ssd_roots=roots, ssd_cache_gib=3600)
    assert told[0] == (
        "file system /nvme0 has 3550 GiB to give, the SSD tiers want 3600 GiB: lower"
        " placement_ssd_cache_gib or add to placement_ssd_roots"
    )
    assert len(told) == 4
    assert violations(bridged, ssd_cache_gib=1) == [
        "placement_ssd_cache_gib is set, but placement_ssd_roots names no directory"
    ]


def test_the_tier_that_is_there_already_counts_as_free(bridged: dict[str, Any]) -> None:
    gib = 1024**3
    bridged["paths"] = [
        {
            "path": "/nvme0/flexkv",
            "mount": "/nvme0",
            "devices": ["nvme0n1"],
            "free_bytes": 10 * gib,
            "own_bytes": own,
        }
        for own in (400 * gib,)
    ]
    assert plan_of(bridged, ssd_roots=("/nvme0/flexkv",), ssd_cache_gib=100)["workers"]
    bridged["paths"][0]["own_bytes"] = 0
    assert len(violations(bridged, ssd_roots=("/nvme0/flexkv",), ssd_cache_gib=100)) == 1


def test_forced_where_no_clean_grouping_exists() -> None:
    machine = json.dumps(MACHINES[IDS.index("085-della-a100-2gpu-sys-2mlx5")])
    topology = recorded.parse_text("a machine", machine)
    plan = plan_of(topology)
    assert plan["forced"]
    assert any(line.startswith("Forced: no better grouping") for line in plan["explanation"])


def test_no_gpu_is_refused_with_what_the_host_said(hgx: dict[str, Any]) -> None:
    nothing = {**hgx, "gpus": [], "links": [], "problems": [{"message": "no nvidia-smi"}]}
    assert violations(nothing) == ["no nvidia-smi"]
    assert violations({**nothing, "problems": []}) == [f"no GPU, says {hgx['source']}"]


def test_too_few_gpus(hgx: dict[str, Any]) -> None:
    hgx["gpus"][0]["mig"] = "enabled"
    assert violations(hgx, group_size=8) == [
        "7 usable GPUs, placement_group_size is 8",
        "GPU 0 is out: MIG is enabled",
    ]


def test_the_order_of_the_facts_does_not_matter(bridged: dict[str, Any]) -> None:
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    other = copy.deepcopy(bridged)
    other["gpus"] = [bridged["gpus"][at] for at in order]
    other["links"] = [[bridged["links"][a][b] for b in order] for a in order]
    for kind in ("nvme", "network"):
        for mine, its in zip(other[kind], bridged[kind]):
            mine["distance"] = [its["distance"][at] for at in order]
    assert plan_of(bridged, ports=PORTS) == plan_of(other, ports=PORTS)


def test_plan_and_table_of_a_bare_matrix() -> None:
    topology = recorded.parse_text(
        "a machine", json.dumps(MACHINES[IDS.index("016-club3090-5gpu-5090-4090-mix")])
    )
    plan = plan_of(topology)
    assert groups(plan) == [[1, 2], [3, 4]]
    assert [idle["index"] for idle in plan["idle"]] == [0]
    assert table(plan)[1].split() == ["worker", "GPUs", "link", "NUMA", "CPUs", "SSD", "network"]
    assert "does not tell the UUIDs" in plan["warnings"][0]


def test_warnings(hgx: dict[str, Any]) -> None:
    hgx["gpus"][0]["health"]["pcie_width_current"] = 8
    hgx["numa_nodes"][0]["cores"] = [str(cpu) for cpu in range(6)]
    hgx["numa_nodes"][0]["cpus"] = "0-5"
    told = plan_of(hgx)["warnings"]
    assert told == [
        "GPU 0 runs at PCIe x8 of x16: reseat it",
        "worker 0 has 3 physical cores, a worker of 2 GPUs wants 4",
        "worker 1 has 3 physical cores, a worker of 2 GPUs wants 4",
    ]


def test_pcie_groups_of_more_than_two_are_warned_of(bridged: dict[str, Any]) -> None:
    told = plan_of(bridged, group_size=4)["warnings"]
    assert told[0].startswith("worker 0: vLLM's custom all-reduce needs NVLink")


def test_fixture_is_the_published_set() -> None:
    assert len((FIXTURES / "machines.jsonl").read_text().splitlines()) == 68
