"""What a grouping and the wishes break: limits of the site, memory, disk. All at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.dynfleet.placement.explain import members
from ansible.module_utils.dynfleet.placement.grouping import Grouping
from ansible.module_utils.dynfleet.placement.wishes import GIB, Wishes
from ansible.module_utils.dynfleet.topology.links import NONE, SELF, points


def broken(grouping: Grouping, workers: Sequence[dict[str, Any]], wishes: Wishes) -> list[str]:
    """Everything that these workers break: limits of the site, memory, disk."""
    topology = grouping.usable.topology
    return (
        _unknown(grouping, wishes)
        + _links(grouping, wishes)
        + _memory(topology, [worker["numa_node"] for worker in workers], wishes)
        + _disk(topology, [worker["ssd_dirs"] for worker in workers], wishes)
    )


def _unknown(grouping: Grouping, wishes: Wishes) -> list[str]:
    """Groups inside which a link is not known: a guess would be called a plan.

    Someone who names the groups by hand knows better than the facts.
    """
    groups = [
        members(names)
        for names, link in zip(grouping.indices(), grouping.links)
        if link == NONE and not wishes.layout
    ]
    if not groups:
        return []
    why = [problem["message"] for problem in grouping.usable.topology.get("problems", [])]
    return [
        f"GPUs {', '.join(groups)}: how they are linked is not known"
        + "".join(f"; {one.rstrip('.')}" for one in why)
        + ". Fix what is said there; or name the groups in placement_layout; or set"
        " placement_group_size to 1"
    ]


def _links(grouping: Grouping, wishes: Wishes) -> list[str]:
    """Violations of min_link and same_numa."""
    found = []
    least = 0
    try:
        least = points(wishes.min_link) if wishes.min_link else 0
    except ValueError as error:
        found.append(f"placement_min_link: {error}")
    for group, link in zip(grouping.groups, grouping.links):
        members = [grouping.usable.gpu(position) for position in group]
        names = "GPUs " + "+".join(str(gpu["index"]) for gpu in members)
        if link != SELF and points(link) < least:
            found.append(f"{names}: weakest link {link}, placement_min_link is {wishes.min_link}")
        nodes = {gpu.get("numa_node") for gpu in members}
        if wishes.same_numa and None in nodes:
            found.append(f"{names}: NUMA node not known, placement_same_numa wants one node")
        elif wishes.same_numa and len(nodes) > 1:
            told = ", ".join(str(node) for node in sorted(nodes, key=str))
            found.append(f"{names}: on NUMA nodes {told}, placement_same_numa wants one node")
    return found


def _memory(topology: dict[str, Any], nodes: Sequence[int | None], wishes: Wishes) -> list[str]:
    """Violations of the memory budget, per NUMA node and for the host.

    nodes: NUMA node of each worker; a worker without one is spread over all nodes.
    """
    found = []
    if wishes.memory_gib and wishes.cpu_cache_gib > wishes.memory_gib:
        found.append(
            f"placement_cpu_cache_gib {wishes.cpu_cache_gib:g} does not fit into the worker's"
            f" placement_memory_gib {wishes.memory_gib:g}"
        )
    name = "placement_memory_gib" if wishes.memory_gib else "placement_cpu_cache_gib"
    each = wishes.memory_gib or wishes.cpu_cache_gib
    known = [n for n in topology.get("numa_nodes", []) if n.get("memory_bytes") is not None]
    if not each or not known or not nodes:
        return found
    spread = sum(node is None for node in nodes) / len(known)
    for node in known:
        workers = sum(wanted == node["node"] for wanted in nodes) + spread
        have = node["memory_bytes"] / GIB
        if workers * each > have:
            found.append(
                f"NUMA node {node['node']} has {have:.0f} GiB of memory, {workers:g} workers want"
                f" {workers * each:g} GiB: set {name} to at most {int(have / workers)}"
            )
    return found


def _disk(topology: dict[str, Any], dirs: Sequence[Sequence[str]], wishes: Wishes) -> list[str]:
    """Violations of the space for the SSD tier, one a file system.

    What lies under a root already counts as free: it is this tier from an earlier deploy.
    """
    if not wishes.ssd_cache_gib:
        return []
    if not wishes.ssd_roots:
        return ["placement_ssd_cache_gib is set, but placement_ssd_roots names no directory"]
    wanted: dict[str, float] = {}
    roots: dict[str, set[str]] = {}
    space: dict[str, float] = {}
    for worker in dirs:
        for directory in worker:
            root = directory.rpartition("/")[0]
            mount = _file_system(topology, root)
            if mount is None:
                continue
            point = mount["mount"]
            wanted[point] = wanted.get(point, 0) + wishes.ssd_cache_gib / len(worker)
            space.setdefault(point, mount["free_bytes"] / GIB)
            if root not in roots.setdefault(point, set()):
                roots[point].add(root)
                space[point] += mount["own_bytes"] / GIB
    return [
        f"file system {point} has {space[point]:.0f} GiB to give, the SSD tiers want"
        f" {wanted[point]:.0f} GiB: lower placement_ssd_cache_gib or add to placement_ssd_roots"
        for point in sorted(wanted)
        if wanted[point] > space[point]
    ]


def _file_system(topology: dict[str, Any], root: str) -> dict[str, Any] | None:
    """Mount point, free bytes and own bytes under a root, None where the facts do not say."""
    for entry in topology.get("paths", []):
        if entry["path"] == root and entry["free_bytes"] is not None:
            return {
                key: entry[key] or 0 if key == "own_bytes" else entry[key]
                for key in ("mount", "free_bytes", "own_bytes")
            }
    best: dict[str, Any] | None = None
    for device in topology.get("nvme", []):
        for mount in device.get("mounts", []):
            point = mount["path"].rstrip("/")
            inside = root == point or root.startswith(point + "/")
            if inside and (best is None or len(point) > len(best["mount"])):
                best = {"mount": point, "free_bytes": mount["free_bytes"], "own_bytes": 0}
    return best
