"""Why a roll may not begin, worker by worker; all reasons at once, each with its override."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.module_utils.dynfleet.day2.fleet import Fleet, Row, label, serves, share
from ansible.module_utils.dynfleet.units import collide

Turns = Mapping[str, Sequence[Mapping[str, Any]]]  # by host, in order


def _degraded(row: Row, chosen: bool) -> bool:
    """Whether a worker is out of service though nobody took it out, and no turn starts it first.

    One that does not run gets the first turns; one that runs as wanted and does not serve is a
    riddle, unless the operator has named it.
    """
    record, cordon = row["rolled"], row["cordoned"]
    ours = (record is not None and not record.get("finished")) or (
        cordon is not None and cordon["by"] == "roll"
    )
    return not (serves(row) or row["drained"] is not None or row["differs"] or ours or chosen)


def drained_holders(fleet: Fleet) -> Iterator[str]:
    """Drained workers whose GPUs others are to have."""
    for host, of_host in fleet.rows.items():
        for row in of_host:
            others = {r["name"]: r["wanted"] for r in of_host if r["name"] != row["name"]}
            if row["drained"] is not None and collide(others, {row["name"]: row["held"]}):
                yield (
                    f"{label(host, row)} is drained and still holds GPUs that other workers of "
                    f"the new plan are to have: on {host}, systemctl stop {row['name']}"
                )


def degraded(fleet: Fleet, named: set[tuple[str, int]]) -> Iterator[str]:
    """Workers that are out of service though nobody drained them. named: by the operator."""
    down = [
        label(host, row)
        for host, row in fleet.every
        if _degraded(row, (host, row["index"]) in named)
    ]
    if down:
        yield (
            f"the fleet is degraded already: not in service are {', '.join(down)}. Mend them "
            "(playbooks/verify.yml says what is wrong), drain them (playbooks/drain.yml), or set "
            "roll_allow_degraded: true"
        )


def taken(fleet: Fleet, turns: Turns, serial: Sequence[int]) -> tuple[int, int]:
    """Hosts that would have workers taken out of service at once, and workers that would be.

    A turn in which nobody serves takes nobody out.
    """
    most = {
        host: max(
            sum((host, index) in fleet.serving for index in turn["workers"]) for turn in of_host
        )
        for host, of_host in turns.items()
    }
    names, batches = list(turns), []
    for size in serial:
        batches.append([most[host] for host in names[:size]])
        del names[:size]
    return (
        max((sum(count > 0 for count in batch) for batch in batches), default=0),
        max(map(sum, batches), default=0),
    )


def too_many(fleet: Fleet, hosts: int, max_out: Any) -> Iterator[str]:
    """More workers out at once than may be. hosts: that take one out at the same time."""
    most = share(max_out, fleet.total)
    if not hosts or hosts + len(fleet.drained) + fleet.lost <= most:
        return
    already = f", and drained are {', '.join(fleet.drained)}" if fleet.drained else ""
    if fleet.lost:
        away = ", ".join(name for name, host in fleet.absent.items() if host.planned > host.serving)
        already += f", and out are {fleet.lost} on hosts that are not in this run ({away})"
    who = "1 host at a time would" if hosts == 1 else f"{hosts} hosts at a time would each"
    yield (
        f"{who} have a worker out of service{already}; of "
        f"{fleet.total} workers {most} may be (roll_max_out: {max_out}). Set a smaller roll_batch"
        f"{', undrain,' if fleet.drained else ''} or a larger roll_max_out"
    )


def outage(fleet: Fleet, workers: int) -> Iterator[str]:
    """Nobody left in service. workers: that would be taken out at once."""
    if workers and fleet.up <= workers:
        yield (
            f"{fleet.up} workers are in service and up to {workers} would be out at once: the "
            "service would be interrupted. If that is acceptable, set roll_allow_outage: true"
        )
