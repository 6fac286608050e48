"""A worker's entry in discovery: what the frontends route by.

A worker registers under ``v1/instances/NAMESPACE/COMPONENT/generate/ID`` with the lease of its
process; ID is that lease in hexadecimal digits, and the decimal one in the metrics of a router.
Without that key no frontend sends it anything new, within milliseconds, while it goes on with
what it has; with the same value put back under the same lease it is as before, its blocks
known to the routers (seen on Dynamo 1.4.2; docs/day2.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.dynfleet.etcd import Etcd, Item


def place(item: Item) -> str:
    """``ADDRESS:PORT`` of an instance's request listener; empty where it has none."""
    try:
        transport = json.loads(item.value)["transport"]["tcp"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(transport).split("/", 1)[0]


def serving(etcd: Etcd, namespace: str) -> list[Item]:
    """Every instance that serves completions."""
    return [item for item in etcd.list(f"v1/instances/{namespace}/") if "/generate/" in item.key]


def at(items: Sequence[Item], where: str) -> list[Item]:
    """The instances at ``ADDRESS:PORT``: after a crash the old one stays until its lease ends."""
    return [item for item in items if place(item) == where]


def pack(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Keys as they are kept in a file."""
    return [{"key": item.key, "value": item.value, "lease": item.lease} for item in items]
