"""What a worker gets besides its GPUs: CPUs, SSD directories, network devices, ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.dynfleet.placement.wishes import PORT_STEPS
from ansible.module_utils.dynfleet.topology import cpulist
from ansible.module_utils.dynfleet.topology.links import points

FAR = points("SYS")


def numa_node(gpus: Sequence[dict[str, Any]]) -> int | None:
    """The one node that all these GPUs sit on, None where they do not or it is not known."""
    nodes = {gpu.get("numa_node") for gpu in gpus}
    return nodes.pop() if len(nodes) == 1 else None


def cpu_shares(topology: dict[str, Any], nodes: Sequence[int | None]) -> list[str | None]:
    """CPU list of each worker, given the NUMA node of each.

    The physical cores of a node, with their hardware threads, are divided evenly among the
    workers on it. Where the facts do not tell cores apart, each worker gets the whole node.
    None where the worker has no node or the node's CPUs are not known.
    """
    known = {node["node"]: node for node in topology.get("numa_nodes", [])}
    shares: list[str | None] = []
    for place, node in enumerate(nodes):
        facts = known.get(node) if node is not None else None
        if facts is None or not facts.get("cpus"):
            shares.append(None)
            continue
        cores = facts.get("cores") or []
        sharers = [other for other, wanted in enumerate(nodes) if wanted == node]
        if len(cores) < len(sharers):
            shares.append(str(facts["cpus"]))
            continue
        turn = sharers.index(place)
        mine = cores[turn * len(cores) // len(sharers) : (turn + 1) * len(cores) // len(sharers)]
        shares.append(cpulist.render(cpu for core in mine for cpu in cpulist.parse(core)))
    return shares


def _mounted_on(topology: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """The NVMe devices under the file system that holds `path`, nearest mount point first."""
    for entry in topology.get("paths", []):
        if entry["path"] == path:
            return [d for d in topology.get("nvme", []) if d["name"] in entry["devices"]]
    held: dict[str, list[dict[str, Any]]] = {}
    for device in topology.get("nvme", []):
        for mount in device.get("mounts", []):
            point = mount["path"].rstrip("/")
            if path == point or path.startswith(point + "/"):
                held.setdefault(point, []).append(device)
    return held[max(held, key=len)] if held else []


def _reach(devices: Sequence[dict[str, Any]], members: Sequence[int]) -> int:
    """Points of the worst path from any of the GPUs to any of the devices, 0 if not known."""
    paths = [
        points(device["distance"][gpu])
        for device in devices
        for gpu in members
        if device.get("distance")
    ]
    return min(paths, default=0)


def ssd_roots(topology: dict[str, Any], roots: Sequence[str], members: Sequence[int]) -> list[str]:
    """The roots that a worker on these GPUs uses, nearest first.

    Those that all its GPUs reach without crossing NUMA nodes; where there is none, all.
    """
    reach = {root: _reach(_mounted_on(topology, root), members) for root in roots}
    near = [root for root in roots if reach[root] > FAR]
    return sorted(near or roots, key=lambda root: -reach[root])


def net_devices(topology: dict[str, Any], members: Sequence[int]) -> list[str]:
    """`device:port` of the RDMA devices nearest to each GPU, in GPU order, for UCX_NET_DEVICES.

    Only ports that are ACTIVE; an InfiniBand port also needs a LID.
    """
    ready = [
        device
        for device in topology.get("network", [])
        if device.get("kind") == "rdma"
        and device.get("state") == "ACTIVE"
        and (device.get("link_layer") != "InfiniBand" or device.get("lid"))
        and device.get("distance")
    ]
    chosen: list[str] = []
    for gpu in members:
        near = max((points(device["distance"][gpu]) for device in ready), default=0)
        chosen += [
            f"{device['name']}:{device['port']}"
            for device in ready
            if points(device["distance"][gpu]) == near
        ]
    return list(dict.fromkeys(chosen))


def ports(table: Mapping[str, int], index: int) -> dict[str, int]:
    """The ports of worker `index`; empty without a port table."""
    return {
        name: int(table[f"worker_{name}"]) + step * index
        for name, step in PORT_STEPS.items()
        if f"worker_{name}" in table
    }
