"""A topology that someone wrote or cut down by hand, made whole or refused."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.dynfleet.topology import cpulist
from ansible.module_utils.dynfleet.topology.links import SELF, canonical
from ansible.module_utils.dynfleet.topology.recorded import Unreadable, check

# What a plan reads of each list's entries; an absent value is not known. Named devices only.
GPU = dict.fromkeys(("uuid", "pci", "minor", "name", "memory_bytes", "mig"))
PLACE = dict.fromkeys(("numa_node", "cpus", "bridges"))
ENTRIES: dict[str, dict[str, Any]] = {
    "gpus": {**GPU, **PLACE, "lost": False, "health": {}},
    "nvme": {"name": "", "mounts": [], "distance": []},
    "network": {"name": "", "kind": "", "port": 1, "state": None, "distance": []},
    "numa_nodes": {"node": None, "cpus": None, "cores": [], "memory_bytes": None},
    "paths": {"path": "", "mount": None, "devices": [], "free_bytes": None, "own_bytes": None},
    "problems": {"code": "", "message": ""},
}


def whole(topology: dict[str, Any], name: str) -> dict[str, Any]:
    """The topology with everything that a plan reads. Raises Unreadable, with what is wrong.

    `name` is what messages call it.
    """
    check(topology, name)
    found = {**topology, "source": topology.get("source", name)}
    for key, defaults in ENTRIES.items():
        entries = topology.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise Unreadable(f"{name}: {key} is no list of objects")
        found[key] = [{**defaults, **entry} for entry in entries]
    for key in ("nvme", "network"):
        for device in found[key]:
            _check_distance(device["distance"], len(found["gpus"]), f"{name}: {device['name']}")
    for node in found["numa_nodes"]:
        for text in (node["cpus"] or "", *node["cores"]):
            try:
                cpulist.parse(text)
            except ValueError as error:
                raise Unreadable(f"{name}: NUMA node {node['node']}: {error}") from error
    return found


def _check_distance(distance: list[str], count: int, name: str) -> None:
    """One link class a GPU, or none at all where the device is not on the PCI bus."""
    if distance and len(distance) != count:
        raise Unreadable(f"{name}: distance to {len(distance)} GPUs, there are {count}")
    for link in distance:
        if canonical(str(link)) in (None, SELF):
            raise Unreadable(f"{name}: distance '{link}' is no link class")
