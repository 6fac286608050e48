"""What does not stop a plan but should be known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.dynfleet.placement import acs, kinds
from ansible.module_utils.dynfleet.placement.explain import counted, members
from ansible.module_utils.dynfleet.placement.grouping import Grouping
from ansible.module_utils.dynfleet.topology import cpulist
from ansible.module_utils.dynfleet.topology.links import SELF, nvlinks

# An API process, an engine core and one process a GPU are busy in a vLLM worker.
CORES_BESIDE_GPUS = 2


def warnings(grouping: Grouping, workers: Sequence[dict[str, Any]]) -> list[str]:
    """Warnings of the facts, of the GPUs in use and of the workers, in this order."""
    topology = grouping.usable.topology
    found = [problem["message"].rstrip(".") for problem in topology.get("problems", [])]
    if any(gpu["uuid"] is None for worker in workers for gpu in worker["gpus"]):
        found.append(
            f"{topology['source']} does not tell the UUIDs of GPUs: this plan can be read, not"
            " deployed"
        )
    for group in grouping.groups:
        for position in group:
            gpu = grouping.usable.gpu(position)
            health = gpu.get("health") or {}
            width, full = health.get("pcie_width_current"), health.get("pcie_width_max")
            if width and full and width < full:
                found.append(f"GPU {gpu['index']} runs at PCIe x{width} of x{full}: reseat it")
    found += _mixed(grouping) + acs.warnings(grouping)
    cores = {node["node"]: node.get("cores") or [] for node in topology.get("numa_nodes", [])}
    for worker in workers:
        name, link, count = worker["index"], worker["link"], len(worker["gpus"])
        if count > 2 and link != SELF and not nvlinks(link):
            found.append(
                f"worker {name}: vLLM's custom all-reduce needs NVLink among more than 2 GPUs, the"
                f" weakest link is {link}"
            )
        if worker["cpus"] and cores.get(worker["numa_node"]):
            mine = set(cpulist.parse(worker["cpus"]))
            own = sum(
                bool(mine.intersection(cpulist.parse(core))) for core in cores[worker["numa_node"]]
            )
            if own < count + CORES_BESIDE_GPUS:
                found.append(
                    f"worker {name} has {counted(own, 'physical core')}, a worker of"
                    f" {counted(count, 'GPU')} wants {count + CORES_BESIDE_GPUS}"
                )
    return found


def _mixed(grouping: Grouping) -> list[str]:
    """Groups of several kinds of GPU, which only a layout by hand makes."""
    found = []
    for names, group in zip(grouping.indices(), grouping.groups):
        there = kinds.kinds([grouping.usable.gpu(position) for position in group])
        if len(there) > 1:
            mixed = " and ".join(kinds.told(kind[0]) for kind in there)
            found.append(
                f"GPUs {members(names)} of placement_layout mix {mixed}: the worker is as fast as"
                " the slowest and as large as the smallest"
            )
    return found
