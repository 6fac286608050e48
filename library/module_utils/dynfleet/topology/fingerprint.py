"""The fingerprint of GPUs and their links, and the words for how two of them differ.

In it is what a plan was made from and what changes only when hardware, firmware or the machine's
configuration changes: UUID, PCI address, index, NUMA node and MIG mode of each GPU, and the class
of each link among them. Not in it is what changes by itself: clocks, the current PCIe generation
(it falls when idle), memory use, error counters, device minor numbers, driver version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

FIELDS = ("uuid", "pci", "index", "numa_node", "mig")


def shape(gpus: Sequence[dict[str, Any]], links: Sequence[Sequence[str]]) -> dict[str, Any]:
    """What is compared: the FIELDS of each GPU and the link matrix, both in the given order."""
    return {
        "gpus": [{field: gpu.get(field) for field in FIELDS} for gpu in gpus],
        "links": [list(row) for row in links],
    }


def digest(value: dict[str, Any]) -> str:
    """`sha256:` and the digest of the canonical JSON of a shape."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def part(topology: dict[str, Any], positions: Sequence[int]) -> dict[str, Any]:
    """The shape of some GPUs of a host and the links among them."""
    gpus, links = topology["gpus"], topology["links"]
    return shape(
        [gpus[place] for place in positions],
        [[links[a][b] for b in positions] for a in positions],
    )


def differences(
    planned: Sequence[dict[str, Any]],
    links: Sequence[Sequence[str]],
    topology: dict[str, Any],
    total: int,
) -> list[str]:
    """How a worker's GPUs differ from the planned ones, in words; empty where they do not.

    planned, links: of the worker in the plan. topology: what is there now. total: GPUs of the
    host when it was planned. Where fewer are seen now, indices say nothing: a unit that may open
    only its own GPUs sees them counted from 0. GPUs are known again by UUID, or by index where
    the plan has no UUIDs.
    """
    gpus = topology["gpus"]
    by_name = {_name(gpu): place for place, gpu in enumerate(gpus) if not gpu.get("lost")}
    places = [by_name.get(_name(gpu)) for gpu in planned]
    fields = [
        field
        for field in FIELDS
        if field != "index" or sum(not gpu.get("lost") for gpu in gpus) >= total
    ]
    found = []
    for gpu, place in zip(planned, places):
        if place is None:
            found.append(f"GPU {gpu['index']} ({gpu.get('uuid')}, {gpu.get('pci')}) is gone")
            continue
        found += [
            f"GPU {gpu['index']} ({gpu.get('uuid')}): {field} was {gpu.get(field)},"
            f" is {gpus[place].get(field)}"
            for field in fields
            if gpu.get(field) != gpus[place].get(field)
        ]
    for one, row in enumerate(links):
        for other in range(one):
            here, there = places[one], places[other]
            if here is not None and there is not None:
                now = topology["links"][here][there]
                if now != row[other]:
                    pair = f"GPU {planned[other]['index']} - GPU {planned[one]['index']}"
                    found.append(f"link {pair} was {row[other]}, is {now}")
    return found


def _name(gpu: dict[str, Any]) -> Any:
    return gpu.get("uuid") or gpu["index"]
