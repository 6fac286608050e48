"""The workers of a whole fleet: which are planned, which serve.

Hosts of this run say it themselves (unit_status). For a host that is not in it, left out by
``--limit`` or unreachable, the service says it: discovery and the frontends' routers
(service_status). What neither knows is counted as out of service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.inputs import shares

Row = Mapping[str, Any]
Hosts = Mapping[str, Mapping[str, Any]]


class Absent(NamedTuple):
    """Workers of a host that is not in this run."""

    planned: int
    serving: int
    guessed: bool  # nothing is known of its plan


@dataclass(frozen=True)
class Elsewhere:
    """What is known of the fleet besides the hosts of this run.

    hosts: address of each worker host that is not in this run. workers: ``place``
    (``ADDRESS:PORT``) and ``routed`` of every worker in discovery; None where etcd is silent.
    first_port: request port of worker 0. health: by group and host, why a member's endpoint is
    not healthy, empty where it is. leaders: host of the leader, by group.
    """

    hosts: Mapping[str, str] = field(default_factory=dict)
    workers: Sequence[Mapping[str, Any]] | None = ()
    first_port: int = 0
    health: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    leaders: Mapping[str, str] = field(default_factory=dict)


def share(value: Any, of: int) -> int:
    """A number, or a percentage of ``of``: at least 1, as Ansible counts batches.

    Raises ValueError for anything else.
    """
    if why := shares.share(value):
        raise ValueError(f"{value!r} {why} (2, '25%')")
    text = str(value)
    return max(1, int(float(text[:-1]) / 100 * of) if text.endswith("%") else int(text))


def worker_rows(hosts: Hosts) -> dict[str, list[Row]]:
    """Workers of each worker host."""
    return {
        name: [row for row in host["units"] if row["index"] is not None]
        for name, host in hosts.items()
        if "workers" in host["groups"]
    }


def serves(row: Row) -> bool:
    """Whether a worker takes requests."""
    return bool(row["ready"] and row["registered"])


def label(host: str, row: Row) -> str:
    """A worker's name, as operators write it."""
    return f"{host}:{row['index']}"


def _absent(elsewhere: Elsewhere, seen: int) -> dict[str, Absent]:
    """Workers of hosts that are not in this run. seen: the most on a host of this run.

    The port of a worker says its index, and so how many its host has at least. Of a host
    without any the plan is unknown: it counts as the largest, with all of them down.
    """
    found: dict[str, dict[int, bool]] = {name: {} for name in elsewhere.hosts}
    names = {address: name for name, address in elsewhere.hosts.items()}
    for worker in elsewhere.workers or ():
        address, _, port = str(worker["place"]).rpartition(":")
        if address in names and port.isdigit():
            indices = found[names[address]]
            index = int(port) - elsewhere.first_port
            # Twice in discovery: after a crash the old key stays until its lease ends.
            indices[index] = indices.get(index, False) or bool(worker["routed"])
    counts = {name: max(indices, default=-1) + 1 for name, indices in found.items()}
    largest = max(1, seen, *counts.values()) if counts else 1
    return {
        name: Absent(counts[name] or largest, sum(indices.values()), not indices)
        for name, indices in found.items()
    }


class Fleet:
    """All workers, of hosts in this run and of the others."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], elsewhere: Elsewhere) -> None:
        """rows: workers of each worker host in this run."""
        self.rows = rows
        self.every = [(host, row) for host, of_host in self.rows.items() for row in of_host]
        self.serving = {(host, int(row["index"])) for host, row in self.every if serves(row)}
        self.drained = [label(host, row) for host, row in self.every if row["drained"] is not None]
        self.elsewhere = elsewhere
        self.absent = _absent(elsewhere, max(map(len, self.rows.values()), default=0))

    @property
    def total(self) -> int:
        """Planned workers."""
        return len(self.every) + sum(host.planned for host in self.absent.values())

    @property
    def up(self) -> int:
        """Workers that take requests."""
        return len(self.serving) + self.up_elsewhere

    @property
    def up_elsewhere(self) -> int:
        """Of those, the ones on hosts that are not in this run."""
        return sum(host.serving for host in self.absent.values())

    @property
    def lost(self) -> int:
        """Workers of hosts that are not in this run, and out of service."""
        return sum(host.planned for host in self.absent.values()) - self.up_elsewhere

    def notes(self) -> Iterator[str]:
        """What is assumed of hosts that are not in this run, for people."""
        if self.absent and self.elsewhere.workers is None:
            yield "etcd does not answer: all workers of hosts that are not in this run count as out"
        for name, host in self.absent.items():
            out = host.planned - host.serving
            if host.guessed:
                yield (
                    f"{name} is not in this run and has no worker in discovery: it counts as "
                    f"{host.planned}, all out of service"
                )
            elif out:
                yield f"{name} is not in this run: {out} of its {host.planned} workers are out"
