"""The listeners that a host has by its roles: the port table, as data.

Preflight looks for clashes in it, the verifier compares it with the sockets that are open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

LOOPBACK = "127.0.0.1"
EVERYWHERE = "::"  # of both families
VLLM_STEP = 20
# Entries of dynamo_ports by inventory group, each with the unit that listens.
SINGLE = {
    "etcd": {"etcd_client": "dynamo-etcd", "etcd_peer": "dynamo-etcd"},
    "nats": {"nats_client": "dynamo-nats", "nats_monitor": "dynamo-nats"},
    "builder": {"wheelhouse_http": "dynamo-wheelhouse"},
    "frontends": {
        "frontend_http": "dynamo-frontend",
        "frontend_response": "dynamo-frontend",
        "frontend_request": "dynamo-frontend",
    },
}
# Worker n has the base + n; on loopback only with the engine vllm.
PER_WORKER = ("worker_system", "worker_request")
PER_VLLM_WORKER = ("worker_flexkv_metrics", "worker_flexkv_cpp_metrics")
# Opened with the first request, as the engine wants, or only by some builds of FlexKV.
ON_DEMAND = frozenset(
    ("frontend_response", "worker_vllm", "worker_flexkv_metrics", "worker_flexkv_cpp_metrics")
)


class Listener(NamedTuple):
    """A TCP socket that a host's process listens on.

    process: its unit, without ``.service``. entry: its key in ``dynamo_ports``. always: open
    whenever the unit is active; otherwise it may be open.
    """

    address: str
    port: int
    process: str
    entry: str
    always: bool


def port_table(
    groups: Collection[str],
    address: str,
    ports: Mapping[str, int],
    *,
    workers: int = 0,
    engine: str = "vllm",
    nats_servers: int = 1,
) -> list[Listener]:
    """Every listener of one host.

    groups: the inventory groups it is in (etcd, nats, builder, frontends, workers). address:
    its host_address. ports: dynamo_ports. workers: workers on it. nats_servers: size of the
    group nats; alone, a server has no cluster port. An entry that ``ports`` lacks is left out.
    """
    wanted: list[tuple[str, str, int, str]] = []
    for group, entries in SINGLE.items():
        if group in groups:
            wanted += [(address, entry, 0, unit) for entry, unit in entries.items()]
    if "nats" in groups and nats_servers > 1:
        wanted.append((address, "nats_cluster", 0, "dynamo-nats"))
    for index in range(workers if "workers" in groups else 0):
        unit = f"dynamo-worker@{index}"
        wanted += [(address, entry, index, unit) for entry in PER_WORKER]
        if engine == "vllm":
            wanted += [(LOOPBACK, entry, index, unit) for entry in PER_VLLM_WORKER]
            first = VLLM_STEP * index
            # The store at which torch's ranks meet has no setting for an address.
            wanted += [
                (EVERYWHERE, "worker_vllm", offset, unit)
                for offset in range(first, first + VLLM_STEP)
            ]
    return [
        Listener(where, ports[entry] + offset, unit, entry, entry not in ON_DEMAND)
        for where, entry, offset, unit in wanted
        if entry in ports
    ]
