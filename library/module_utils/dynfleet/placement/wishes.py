"""What a site asks of the placement of one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GIB = 1024**3

# Port of worker n: base + step * n. The base is the entry `worker_<name>` of the port table.
PORT_STEPS = {
    "system": 1,
    "request": 1,
    "flexkv_metrics": 1,
    "flexkv_cpp_metrics": 1,
    "vllm": 20,
}


@dataclass(frozen=True)
class Wishes:
    """group_size: GPUs a worker. layout: groups by hand, each of GPU indices or UUIDs.

    exclude: GPU indices or UUIDs to leave out. min_link: the weakest link class allowed inside a
    group, or empty. same_numa: every group must sit on one NUMA node. ssd_roots: absolute
    directories, one sub-directory a worker. cpu_cache_gib, ssd_cache_gib: size of a worker's
    cache tiers in GiB, 0 for none. memory_gib: the memory budget of a worker's unit in GiB, 0
    for none. ports: the site's port table.
    """

    group_size: int = 2
    layout: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()
    min_link: str = ""
    same_numa: bool = False
    ssd_roots: tuple[str, ...] = ()
    cpu_cache_gib: float = 0
    ssd_cache_gib: float = 0
    memory_gib: float = 0
    ports: Mapping[str, int] = field(default_factory=dict)
