"""What of a fleet is restarted or drained, in which order and how many at once; or why not.

Pure: from what every host said of its units, and the operator's wishes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.dynfleet.day2 import marks, targets
from ansible.module_utils.dynfleet.units import collide

Row = Mapping[str, Any]
# Groups of the inventory whose unit is restarted host after host, in this order.
SINGLE = {
    "etcd": "dynamo-etcd.service",
    "nats": "dynamo-nats.service",
    "frontends": "dynamo-frontend.service",
}


@dataclass(frozen=True)
class Wish:
    """What the operator wants.

    named: comma list of workers; only these. force: also what runs as wanted. batch: hosts at a
    time, as Ansible's serial. max_out: workers that may be out of service at once, a number or a
    percentage. The others override refusals.
    """

    named: str = ""
    force: bool = False
    batch: Sequence[Any] = (1,)
    max_out: Any = 1
    allow_degraded: bool = False
    allow_outage: bool = False

    @property
    def what(self) -> str:
        """The wish in words: a run resumes only what wanted the same."""
        if self.named:
            return f"restart {self.named}"
        return "restart all" if self.force else "restart what differs"


@dataclass
class Plan:
    """What will be done, or the reasons why nothing is."""

    problems: list[str] = field(default_factory=list)
    singles: dict[str, list[str]] = field(default_factory=dict)  # hosts by group
    turns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by host
    serial: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def share(value: Any, of: int) -> int:
    """A number, or a percentage of ``of``: at least 1, as Ansible counts batches.

    Raises ValueError for anything else.
    """
    text = str(value).strip()
    if not re.fullmatch(r"\d+(\.\d+)?%|\d+", text):
        raise ValueError(f"{value!r} is neither a number nor a percentage (2, '25%')")
    return max(1, int(float(text[:-1]) / 100 * of) if text.endswith("%") else int(text))


def batches(wish: Sequence[Any], hosts: int) -> list[int]:
    """Sizes of the batches that so many hosts are taken in; the last wish repeats."""
    sizes: list[int] = []
    while sum(sizes) < hosts:
        size = share(wish[min(len(sizes), len(wish) - 1)], hosts)
        sizes.append(min(size, hosts - sum(sizes)))
    return sizes


def worker_rows(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Row]]:
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


def _reason(row: Row, pending: bool, wish: Wish, chosen: bool) -> tuple[str, bool]:
    """Why a worker gets a turn, empty where it gets none; and whether it is restarted anyway."""
    cordon, record = row["cordoned"], row["rolled"]
    reasons = [
        (wish.named and chosen, "was named", True),
        (
            not wish.named and (row["differs"] or pending),
            "runs with another configuration" if row["active"] else f"is {row['state']}",
            False,
        ),
        (not wish.named and wish.force, "roll_force", True),
        (
            cordon is not None and cordon["by"] == "roll",
            f"was cordoned {marks.told(cordon)}",
            False,
        ),
        (
            record is not None and not record.get("finished"),
            "an earlier roll ended before its gate had passed",
            False,
        ),
    ]
    hits = [(why, force) for holds, why, force in reasons if holds]
    return hits[0] if hits and row["drained"] is None else ("", False)


def _together(rows: Sequence[Row], chosen: Sequence[Row]) -> bool:
    """Whether workers are to have GPUs that others of them hold: these go down together."""
    wanted = {row["name"]: row["wanted"] for row in chosen if row["differs"]}
    return collide(wanted, {row["name"]: row["held"] for row in rows if row["drained"] is None})


def _turns(rows: Sequence[Row], reasons: Mapping[int, tuple[str, bool]]) -> list[dict[str, Any]]:
    """The turns of one host, those that are out of service already first."""
    chosen = [row for row in rows if reasons[row["index"]][0]]
    if _together(rows, chosen):
        why = "their GPUs are grouped anew"
        return [{"workers": [row["index"] for row in chosen], "why": why, "force": False}]
    chosen.sort(key=lambda row: (serves(row), row["index"]))
    return [
        {"workers": [row["index"]], "why": why, "force": force}
        for row in chosen
        for why, force in [reasons[row["index"]]]
    ]


def _degraded(row: Row, chosen: bool) -> bool:
    """Whether a worker is out of service though nobody took it out, and no turn mends that first.

    One that does not run gets the first turns; one that runs as wanted and does not serve is a
    riddle, unless the operator has named it.
    """
    record, cordon = row["rolled"], row["cordoned"]
    ours = (record is not None and not record.get("finished")) or (
        cordon is not None and cordon["by"] == "roll"
    )
    return not (serves(row) or row["drained"] is not None or row["differs"] or ours or chosen)


def _refusals(
    hosts: Mapping[str, Mapping[str, Any]],
    plan: Plan,
    wish: Wish,
    named: set[tuple[str, int]],
) -> Iterator[str]:
    """Why a roll may not begin."""
    rows = worker_rows(hosts)
    every = [(host, row) for host, of_host in rows.items() for row in of_host]
    drained = [label(host, row) for host, row in every if row["drained"] is not None]
    for host, of_host in rows.items():
        for row in of_host:
            others = {r["name"]: r["wanted"] for r in of_host if r["name"] != row["name"]}
            if row["drained"] is not None and collide(others, {row["name"]: row["held"]}):
                yield (
                    f"{label(host, row)} is drained and still holds GPUs that other workers of "
                    f"the new plan are to have: on {host}, systemctl stop {row['name']}"
                )
    down = [
        label(host, row) for host, row in every if _degraded(row, (host, row["index"]) in named)
    ]
    if down and not wish.allow_degraded:
        yield (
            f"the fleet is degraded already: not in service are {', '.join(down)}. Mend them "
            "(playbooks/verify.yml says what is wrong), drain them (playbooks/drain.yml), or set "
            "roll_allow_degraded: true"
        )
    counted = [host["serving"] for host in hosts.values() if host["serving"] is not None]
    total = max(len(every), *counted) if counted else len(every)
    most = share(wish.max_out, total)
    out = max(plan.serial, default=0)
    if out + len(drained) > most:
        already = f", and drained are {', '.join(drained)}" if drained else ""
        yield (
            f"{out} hosts at a time would each have a worker out of service{already}; of {total} "
            f"workers {most} may be (roll_max_out: {wish.max_out}). Set a smaller roll_batch"
            f"{', undrain,' if drained else ''} or a larger roll_max_out"
        )
    serving = {(host, row["index"]) for host, row in every if serves(row)}
    up = len(serving)
    # Of a turn that takes several together only those count that serve.
    largest = max(
        (
            sum((host, index) in serving for index in turn["workers"])
            for host, turns in plan.turns.items()
            for turn in turns
        ),
        default=0,
    )
    if up and up <= max(out, largest) and not wish.allow_outage:
        yield (
            f"{up} workers are in service and up to {max(out, largest)} would be out at once: the "
            "service would be interrupted. If that may be, set roll_allow_outage: true"
        )


def make(hosts: Mapping[str, Mapping[str, Any]], wish: Wish) -> Plan:
    """The plan of a roll.

    hosts: by name, ``groups`` of the inventory, ``units`` and ``serving`` of unit_status, and
    ``pending``, units of which an earlier task knows that they have to be restarted.
    """
    plan = Plan()
    rows = worker_rows(hosts)
    named, unknown = targets.resolve(wish.named, rows)
    if unknown:
        plan.problems.append(
            f"no such host, worker or GPU: {', '.join(unknown)}. Known are {targets.known(rows)}"
        )
        return plan
    for group, unit in SINGLE.items():
        plan.singles[group] = [
            name
            for name, host in hosts.items()
            if group in host["groups"] and not wish.named
            for row in host["units"]
            if row["name"] == unit and (row["differs"] or wish.force or unit in host["pending"])
        ]
    for host, of_host in rows.items():
        reasons = {
            row["index"]: _reason(
                row,
                row["name"] in hosts[host]["pending"],
                wish,
                row["index"] in named.get(host, ()),
            )
            for row in of_host
        }
        turns = _turns(of_host, reasons)
        if turns:
            plan.turns[host] = turns
        plan.notes += [
            f"{label(host, row)} stays drained {marks.told(row['drained'])}"
            for row in of_host
            if row["drained"] is not None
        ]
    _order(plan, rows, wish)
    if plan.turns or any(plan.singles.values()):
        chosen = {(host, index) for host, indices in named.items() for index in indices}
        plan.problems += _refusals(hosts, plan, wish, chosen)
    _floors(plan, hosts, wish)
    return plan


def _order(plan: Plan, rows: Mapping[str, Sequence[Row]], wish: Wish) -> None:
    """Hosts with workers that are out of service first; batches for all of them."""

    def whole(host: str) -> bool:
        chosen = {n for turn in plan.turns[host] for n in turn["workers"]}
        return all(serves(row) for row in rows[host] if row["index"] in chosen)

    plan.turns = {host: plan.turns[host] for host in sorted(plan.turns, key=whole)}
    alone = any(len(turn["workers"]) > 1 for turns in plan.turns.values() for turn in turns)
    plan.serial = batches([1] if alone else wish.batch, len(plan.turns))


def _floors(plan: Plan, hosts: Mapping[str, Mapping[str, Any]], wish: Wish) -> None:
    """How many others have to be in service whenever one is taken out."""
    total = sum(len(of_host) for of_host in worker_rows(hosts).values())
    floor = max(0, total - share(wish.max_out, total)) if total else 0
    for turns in plan.turns.values():
        for turn in turns:
            turn["floor"] = 1 if len(turn["workers"]) > 1 else floor
            if wish.allow_degraded or wish.allow_outage:
                turn["floor"] = 0


def drain(
    hosts: Mapping[str, Mapping[str, Any]], named: str, away: bool, allow_outage: bool
) -> Plan:
    """The plan of draining (``away``) or putting back the named workers."""
    plan = Plan()
    rows = worker_rows(hosts)
    found, unknown = targets.resolve(named, rows)
    if unknown or not found:
        said = f"no such host, worker or GPU: {', '.join(unknown)}" if unknown else "no target"
        plan.problems.append(
            f"{said}. Name one with -e target=HOST, HOST:N (worker), HOST:gpuN or the UUID of a "
            f"GPU. Known are {targets.known(rows)}"
        )
        return plan
    plan.turns = {host: [{"workers": indices}] for host, indices in found.items()}
    left = [
        row
        for host, of_host in rows.items()
        for row in of_host
        if row["index"] not in found.get(host, ()) and serves(row)
    ]
    up = sum(serves(row) for of_host in rows.values() for row in of_host)
    if away and up and not left and not allow_outage:
        plan.problems.append(
            f"all {up} workers that are in service would be drained: the service would be "
            "interrupted. If that may be, set roll_allow_outage: true"
        )
    return plan
