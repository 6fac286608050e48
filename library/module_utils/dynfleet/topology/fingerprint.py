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
