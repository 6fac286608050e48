"""Workers and hosts as unit_status has them."""

from __future__ import annotations

from typing import Any

MARK = {
    "by": "operator",
    "who": "anna@c1",
    "since": "2026-01-05T10:00:00Z",
    "why": "fan",
    "run": None,
}
DOWN = {
    "active": False,
    "ready": False,
    "registered": False,
    "differs": True,
    "state": "failed (failed)",
}


def worker(index: int, **more: Any) -> dict[str, Any]:
    """A worker that serves as desired, with the GPUs 2N and 2N + 1."""
    gpus = [{"index": n, "uuid": f"GPU-{n}"} for n in (2 * index, 2 * index + 1)]
    uuids = [gpu["uuid"] for gpu in gpus]
    return {
        "name": f"dynamo-worker@{index}.service",
        "index": index,
        "active": True,
        "state": "active (running)",
        "differs": False,
        "ready": True,
        "registered": True,
        "gpus": gpus,
        "held": uuids,
        "wanted": uuids,
        "drained": None,
        "cordoned": None,
        "rolled": None,
        **more,
    }


def host(*workers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"groups": ["workers"], "units": list(workers), "pending": [], **more}


def fleet(hosts: int = 3, **changed: dict[str, Any]) -> dict[str, Any]:
    """Hosts g0, g1, ... of four workers; changed: values by ``gH_N``."""
    return {
        f"g{h}": host(*(worker(n, **changed.get(f"g{h}_{n}", {})) for n in range(4)))
        for h in range(hosts)
    }
