"""The plan of one host: a pure function of its facts and the site's wishes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.dynfleet.placement import candidates, limits
from ansible.module_utils.dynfleet.placement.explain import counted, explain
from ansible.module_utils.dynfleet.placement.graph import build
from ansible.module_utils.dynfleet.placement.grouping import Grouping, Usable
from ansible.module_utils.dynfleet.placement.search import best_two
from ansible.module_utils.dynfleet.placement.warn import warnings
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.placement.workers import make_workers
from ansible.module_utils.dynfleet.topology import fingerprint
from ansible.module_utils.dynfleet.topology.pcie import FROM_SYSFS


class Refusal(Exception):
    """The host cannot be placed as wished.

    violations: every reason. known: what should be known besides, as the warnings of a plan.
    """

    def __init__(self, host: str, violations: Sequence[str], known: Sequence[str] = ()) -> None:
        self.violations, self.known = list(violations), list(known)
        super().__init__(f"{host}: " + "; ".join(self.violations))


def make_plan(topology: dict[str, Any], wishes: Wishes, host: str) -> dict[str, Any]:
    """The plan as JSON (its shape is in docs/placement.md). Raises Refusal with all reasons."""
    if not topology["gpus"]:
        told = [problem["message"] for problem in topology.get("problems", [])]
        raise Refusal(host, told or [f"no GPU, says {topology['source']}"])
    size = wishes.group_size
    keep, idle, violations = candidates.usable(topology, wishes.exclude)
    fit, others = candidates.one_kind(topology, wishes.exclude, keep, size)
    usable = _usable(topology, fit)
    best, second = best_two(usable.graph, size)
    optimum = Grouping(usable, best)
    chosen = optimum
    if wishes.layout:
        by_hand, wrong = candidates.by_hand(topology, wishes.layout, keep, idle, size)
        violations += wrong
        chosen = optimum if wrong else Grouping(_usable(topology, keep), tuple(by_hand))
    else:
        idle += others
        if not optimum.groups:
            violations.append(f"{len(fit)} usable GPUs, placement_group_size is {size}")
            violations += [f"GPU {entry['index']} is out: {entry['reason']}" for entry in idle]
    workers = make_workers(chosen, wishes)
    violations += limits.broken(chosen, workers, wishes)
    if violations:
        raise Refusal(host, violations, warnings(chosen, workers))
    naive = tuple(
        tuple(range(first, first + size)) for first in range(0, len(fit) - size + 1, size)
    )
    in_order = sorted(range(len(topology["gpus"])), key=lambda at: topology["gpus"][at]["index"])
    unclean = optimum.unclean()
    plan: dict[str, Any] = {
        "host": host,
        "group_size": size,
        "source": topology["source"],
        "fingerprint": fingerprint.digest(fingerprint.part(topology, in_order)),
        "links_from_sysfs": _from_sysfs(topology),
        "forced": bool(unclean),
        "by_hand": bool(wishes.layout),
        "score": chosen.readable(),
        "cost": chosen.cost(optimum),
        "workers": workers,
        "idle": idle + _left_over(chosen, wishes),
        "optimum": optimum.compared(optimum),
        "runner_up": None if second is None else Grouping(usable, second).compared(optimum),
        "index_order": Grouping(usable, naive).compared(optimum),
        "warnings": warnings(chosen, workers),
    }
    plan["explanation"] = explain(plan, unclean)
    return plan


def _usable(topology: dict[str, Any], positions: Sequence[int]) -> Usable:
    return Usable(topology, tuple(positions), build(topology, positions))


def _from_sysfs(topology: dict[str, Any]) -> bool:
    """Whether a link comes from the PCI bus because the driver did not tell it."""
    return any(problem.get("code") == FROM_SYSFS for problem in topology.get("problems", []))


def _left_over(chosen: Grouping, wishes: Wishes) -> list[dict[str, Any]]:
    """Usable GPUs that are in no group, with the reason."""
    used = {position for group in chosen.groups for position in group}
    count = chosen.usable.graph.size
    if wishes.layout:
        reason = "not in placement_layout"
    else:
        reason = (
            f"left over: {count} GPUs make {counted(len(chosen.groups), 'group')} of"
            f" {wishes.group_size},"
            " and the groups are best without this one"
        )
    return [
        candidates.idle_entry(chosen.usable.gpu(position), reason)
        for position in range(count)
        if position not in used
    ]
