"""The workers of a plan, with everything that a unit needs to know."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.dynfleet.placement import resources
from ansible.module_utils.dynfleet.placement.grouping import Grouping
from ansible.module_utils.dynfleet.placement.wishes import GIB, Wishes
from ansible.module_utils.dynfleet.topology import fingerprint

GPU_KEYS = ("index", "uuid", "pci", "minor", "numa_node", "mig")


def make_workers(grouping: Grouping, wishes: Wishes) -> list[dict[str, Any]]:
    """One worker a group, in the order of the groups."""
    topology, keep = grouping.usable.topology, grouping.usable.keep
    gpus = [[grouping.usable.gpu(position) for position in group] for group in grouping.groups]
    nodes = [resources.numa_node(members) for members in gpus]
    cpus = resources.cpu_shares(topology, nodes)
    workers = []
    for index, group in enumerate(grouping.groups):
        places = [keep[position] for position in group]
        shape = fingerprint.part(topology, places)
        workers.append(
            {
                "index": index,
                "gpus": [{key: gpu.get(key) for key in GPU_KEYS} for gpu in gpus[index]],
                "link": grouping.links[index],
                "links": shape["links"],
                "fingerprint": fingerprint.digest(shape),
                "numa_node": nodes[index],
                "cpus": cpus[index],
                "ssd_dirs": [
                    f"{root.rstrip('/')}/{index}"
                    for root in resources.ssd_roots(topology, wishes.ssd_roots, places)
                ],
                "net_devices": resources.net_devices(topology, places),
                "ports": resources.ports(wishes.ports, index),
                "memory_bytes": int(wishes.memory_gib * GIB) or None,
            }
        )
    return workers
