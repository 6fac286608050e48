"""What of a fleet is restarted or drained, in which order and how many at once; or why not.

Pure: from what every host said of its units, and the operator's wishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.dynfleet.day2 import marks, quorum, refusals, targets
from ansible.module_utils.dynfleet.day2.fleet import (
    Elsewhere,
    Fleet,
    Hosts,
    Row,
    label,
    serves,
    share,
    worker_rows,
)
from ansible.module_utils.dynfleet.units import collide

NOWHERE = Elsewhere()


@dataclass(frozen=True)
class Wish:
    """What the operator wants.

    named: comma list of workers; only these. force: also what runs as wanted. batch: hosts at a
    time, as Ansible's serial. max_out: workers that may be out of service at once, a number or a
    percentage. frontend_drain: seconds that a stopping frontend waits for its streams. The
    others override refusals.
    """

    named: str = ""
    force: bool = False
    batch: Sequence[Any] = (1,)
    max_out: Any = 1
    allow_degraded: bool = False
    allow_outage: bool = False
    frontend_drain: int = 0

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
    announced: list[str] = field(default_factory=list)  # interruptions, in words
    singles: dict[str, list[str]] = field(default_factory=dict)  # hosts by group, in order
    needed: dict[str, int] = field(default_factory=dict)  # healthy others at each of these
    turns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by host
    serial: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def batches(wish: Sequence[Any], hosts: int) -> list[int]:
    """Sizes of the batches that so many hosts are taken in; the last wish repeats."""
    sizes: list[int] = []
    while sum(sizes) < hosts:
        size = share(wish[min(len(sizes), len(wish) - 1)], hosts)
        sizes.append(min(size, hosts - sum(sizes)))
    return sizes


def _reason(row: Row, pending: bool, wish: Wish, chosen: bool) -> tuple[str, bool]:
    """Why a worker gets a turn, empty where it gets none; and whether it is restarted anyway."""
    cordon = row["cordoned"]
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
            _unfinished(row),
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


def _unfinished(row: Row) -> bool:
    """Whether a roll restarted a unit and has not seen it serve."""
    record = row.get("rolled") or {}
    return bool(record) and not record.get("finished")


def _singles(plan: Plan, hosts: Hosts, wish: Wish, elsewhere: Elsewhere) -> None:
    """Members of the control plane and frontends: who is restarted, in which order, or why not."""
    for group, unit in quorum.UNITS.items():
        health = elsewhere.health.get(group, {})
        chosen = {
            name: row
            for name, host in hosts.items()
            if group in host["groups"] and not wish.named
            for row in host["units"]
            if row["name"] == unit
            and (row["differs"] or wish.force or unit in host["pending"] or _unfinished(row))
        }
        order = quorum.in_order(list(chosen), health, elsewhere.leaders.get(group))
        plan.singles[group] = order
        plan.needed[group] = 0 if wish.allow_outage else quorum.others_needed(group, len(health))
        if not wish.allow_outage and (why := quorum.refusal(group, order, health)):
            plan.problems.append(why)
        last = next(((row.get("rolled") or {}).get("seconds") for row in chosen.values()), None)
        took = (last or {}).get("out")
        plan.announced += quorum.announcement(group, order, health, took, wish.frontend_drain)


def make(hosts: Hosts, wish: Wish, elsewhere: Elsewhere = NOWHERE) -> Plan:
    """The plan of a roll.

    hosts: by name, ``groups`` of the inventory, ``units`` of unit_status, and ``pending``, units
    of which an earlier task knows that they have to be restarted; those in this run.
    """
    plan = Plan()
    fleet = Fleet(worker_rows(hosts), elsewhere)
    named, unknown = targets.resolve(wish.named, fleet.rows)
    if unknown:
        plan.problems.append(_unknown(unknown, fleet))
        return plan
    _singles(plan, hosts, wish, elsewhere)
    for host, of_host in fleet.rows.items():
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
    _order(plan, fleet.rows, wish)
    if plan.turns or any(plan.singles.values()):
        plan.notes += fleet.notes()
        chosen = {(host, index) for host, indices in named.items() for index in indices}
        plan.problems += _refusals(fleet, plan, wish, chosen)
    _floors(plan, fleet, wish)
    return plan


def _unknown(unknown: Sequence[str], fleet: Fleet) -> str:
    """A refusal of names that mean nothing in this run."""
    away = sorted({name for name in unknown if name.partition(":")[0] in fleet.absent})
    other = [name for name in unknown if name not in away]
    said = [
        f"not in this run (--limit): {', '.join(away)}" if away else "",
        f"no such host, worker or GPU: {', '.join(other)}" if other else "",
    ]
    return f"{'; '.join(filter(None, said))}. Known are {targets.known(fleet.rows)}"


def _refusals(fleet: Fleet, plan: Plan, wish: Wish, named: set[tuple[str, int]]) -> list[str]:
    """Why workers may not be taken out of service."""
    hosts, workers = refusals.taken(fleet, plan.turns, plan.serial)
    found = [*refusals.drained_holders(fleet)]
    if not wish.allow_degraded:
        found += refusals.degraded(fleet, named)
    found += refusals.too_many(fleet, hosts, wish.max_out)
    if not wish.allow_outage:
        found += refusals.outage(fleet, workers)
    return found


def _order(plan: Plan, rows: Mapping[str, Sequence[Row]], wish: Wish) -> None:
    """Hosts with workers that are out of service first; batches for all of them."""

    def whole(host: str) -> bool:
        chosen = {n for turn in plan.turns[host] for n in turn["workers"]}
        return all(serves(row) for row in rows[host] if row["index"] in chosen)

    plan.turns = {host: plan.turns[host] for host in sorted(plan.turns, key=whole)}
    alone = any(len(turn["workers"]) > 1 for turns in plan.turns.values() for turn in turns)
    plan.serial = batches([1] if alone else wish.batch, len(plan.turns))


def _floors(plan: Plan, fleet: Fleet, wish: Wish) -> None:
    """How many others have to be in service whenever one is taken out."""
    floor = max(0, fleet.total - share(wish.max_out, fleet.total)) if fleet.total else 0
    for turns in plan.turns.values():
        for turn in turns:
            turn["floor"] = 1 if len(turn["workers"]) > 1 else floor
            if wish.allow_degraded or wish.allow_outage:
                turn["floor"] = 0


def drain(
    hosts: Hosts,
    named: str,
    away: bool,
    allow_outage: bool,
    elsewhere: Elsewhere = NOWHERE,
) -> Plan:
    """The plan of draining (``away``) or putting back the named workers."""
    plan = Plan()
    fleet = Fleet(worker_rows(hosts), elsewhere)
    found, unknown = targets.resolve(named, fleet.rows)
    if unknown or not found:
        said = (
            _unknown(unknown, fleet)
            if unknown
            else f"no target. Known are {targets.known(fleet.rows)}"
        )
        plan.problems.append(
            f"{said}. Name one with -e target=HOST, HOST:N (worker), HOST:gpuN or the UUID of a GPU"
        )
        return plan
    plan.turns = {host: [{"workers": indices}] for host, indices in found.items()}
    left = [place for place in fleet.serving if place[1] not in found.get(place[0], ())]
    if away and fleet.up and not left and not fleet.up_elsewhere and not allow_outage:
        plan.problems.append(
            f"all {fleet.up} workers that are in service would be drained: the service would be "
            "interrupted. If that is acceptable, set roll_allow_outage: true"
        )
    return plan
