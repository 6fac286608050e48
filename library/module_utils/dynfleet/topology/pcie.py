"""Links between GPUs by their place on the PCI bus, for where the driver does not tell them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import sysfs
from ansible.module_utils.dynfleet.topology.links import NONE, SELF

# Code of the problem that says that links come from here.
FROM_SYSFS = "links_from_sysfs"


def links(gpus: Sequence[dict[str, Any]], root: Path) -> list[list[str]]:
    """The link matrix by sysfs, in the words of `nvidia-smi topo -m`; it knows no NVLink.

    NONE to and from a GPU that is lost or that sysfs does not show. The GPUs need `numa_node`.
    """
    chains = [
        sysfs.chain(root, gpu["pci"]) if gpu["pci"] and not gpu["lost"] else [] for gpu in gpus
    ]
    matrix = [[SELF] * len(gpus) for _ in gpus]
    for one, mine in enumerate(chains):
        for other, its in enumerate(chains[:one]):
            nodes = gpus[one]["numa_node"], gpus[other]["numa_node"]
            link = sysfs.distance(mine, its, *nodes) if mine and its else NONE
            matrix[one][other] = matrix[other][one] = link
    return matrix


def complete(facts: dict[str, Any], root: Path) -> None:
    """Put sysfs' class where `facts["links"]` has NONE, and a problem that says so.

    facts: what `gpus.read` returns.
    """
    by_bus = links(facts["gpus"], root)
    filled = False
    for one, row in enumerate(facts["links"]):
        for other, link in enumerate(row):
            if link == NONE and by_bus[one][other] != NONE:
                row[other] = by_bus[one][other]
                filled = True
    if filled:
        facts["problems"].append(
            {
                "code": FROM_SYSFS,
                "message": "links between GPUs come from the PCI bus in /sys, which does not show"
                " NVLink: groups may miss an NVLink bridge until the driver tells the links again",
            }
        )
        facts["status"] = "degraded" if facts["status"] == "ok" else facts["status"]
