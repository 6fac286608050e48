"""What an operator names: hosts, workers, GPUs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_INDEX = re.compile(r"(gpu)?(\d+)", re.IGNORECASE)
Rows = Mapping[str, Sequence[Mapping[str, Any]]]  # workers of each host, as unit_status has them


def split(text: str) -> list[str]:
    """The names in a comma list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _of_host(rows: Sequence[Mapping[str, Any]], part: str) -> list[int]:
    """Workers of a host by ``N`` or ``gpuN``."""
    match = _INDEX.fullmatch(part)
    if not match:
        return []
    number = int(match.group(2))
    if not match.group(1):
        return [row["index"] for row in rows if row["index"] == number]
    return [row["index"] for row in rows if number in [gpu["index"] for gpu in row["gpus"]]]


def resolve(text: str, hosts: Rows) -> tuple[dict[str, list[int]], list[str]]:
    """Workers that a comma list names, by host, and the names that mean none.

    A name is ``all``, ``HOST``, ``HOST:N`` (worker), ``HOST:gpuN`` or the UUID of a GPU.
    """
    found: dict[str, set[int]] = {}
    unknown = []
    for name in split(text):
        host, _, part = name.partition(":")
        if name == "all":
            hits = {host: [row["index"] for row in rows] for host, rows in hosts.items()}
        elif hosts.get(host):
            every = [row["index"] for row in hosts[host]]
            hits = {host: _of_host(hosts[host], part) if part else every}
        else:
            hits = {
                host: [
                    row["index"]
                    for row in rows
                    if name.lower() in [str(gpu["uuid"]).lower() for gpu in row["gpus"]]
                ]
                for host, rows in hosts.items()
            }
        if not any(hits.values()):
            unknown.append(name)
        for host, indices in hits.items():
            found.setdefault(host, set()).update(indices)
    return {host: sorted(indices) for host, indices in found.items() if indices}, unknown


def known(hosts: Rows) -> str:
    """All that can be named, for a refusal."""
    parts = []
    for host, rows in hosts.items():
        workers = ", ".join(f"{host}:{row['index']}" for row in rows)
        parts.append(f"{host} ({workers or 'no workers'})")
    return "; ".join(parts)
