"""Kinds of GPU on one host: a group is made of one model with one size of memory.

A group is as fast as its slowest GPU and as large as its smallest, so a display card among
data centre GPUs would cripple the worker that gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.dynfleet.placement.wishes import GIB

# The driver reports up to 7 % less memory with ECC on: that is the same GPU.
SAME_MEMORY = 0.9


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two GPUs are of one kind. What the facts do not say counts as equal."""
    names = {one.get("name"), other.get("name")} - {None}
    sizes = [gpu["memory_bytes"] for gpu in (one, other) if gpu.get("memory_bytes")]
    return len(names) < 2 and (len(sizes) < 2 or min(sizes) >= SAME_MEMORY * max(sizes))


def kinds(gpus: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The GPUs by kind; each kind starts with its GPU of the most memory."""
    found: list[list[dict[str, Any]]] = []
    for gpu in sorted(gpus, key=lambda one: -(one.get("memory_bytes") or 0)):
        kind = next((members for members in found if alike(members[0], gpu)), None)
        if kind is None:
            found.append([gpu])
        else:
            kind.append(gpu)
    return found


def leading(gpus: Sequence[dict[str, Any]], size: int) -> dict[str, Any] | None:
    """A GPU of the kind that brings the most memory in whole groups of `size`.

    Where no kind makes a whole group, in all. Ties go to more GPUs, then to the lowest index.
    gpus: of the host, unfit ones too: a GPU that fails must not turn the host over to the display
    card. None where there is none.
    """

    def weight(kind: list[dict[str, Any]]) -> tuple[int, int, int, int]:
        memory = kind[-1].get("memory_bytes") or 0
        grouped = len(kind) - len(kind) % size if size > 0 else 0
        lowest = min(gpu["index"] for gpu in kind)
        return grouped * memory, len(kind) * memory, len(kind), -lowest

    found = kinds([gpu for gpu in gpus if not gpu.get("lost")])
    return max(found, key=weight)[0] if found else None


def told(gpu: dict[str, Any]) -> str:
    """`NVIDIA T400 4GB (4 GiB)`."""
    size = gpu.get("memory_bytes")
    name = gpu.get("name") or "a GPU without a name"
    return f"{name} ({size / GIB:.0f} GiB)" if size else str(name)
