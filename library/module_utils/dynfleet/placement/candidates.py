"""Which GPUs may be used, and why the others may not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.dynfleet.placement import kinds


def faults(gpu: dict[str, Any]) -> list[str]:
    """Why the facts rule this GPU out, in words; empty where they do not."""
    health = gpu.get("health") or {}
    found = []
    if gpu.get("lost"):
        found.append("the driver does not reach it any more (fallen off the bus)")
    if gpu.get("mig") == "enabled":
        found.append("MIG is enabled")
    if health.get("remap_failure"):
        found.append("a memory row could not be remapped: have the GPU replaced")
    if health.get("remap_pending"):
        found.append("a memory row remap is pending: reset the GPU")
    if health.get("ecc_uncorrected_volatile"):
        found.append(
            f"{health['ecc_uncorrected_volatile']} uncorrectable ECC errors since the driver was"
            " loaded: reset the GPU"
        )
    return found


def matches(gpu: dict[str, Any], name: str) -> bool:
    """Whether `name` (a UUID or an index as text) means this GPU."""
    return name.strip() in (str(gpu["index"]), gpu.get("uuid"))


def usable(
    topology: dict[str, Any], exclude: Sequence[str]
) -> tuple[list[int], list[dict[str, Any]], list[str]]:
    """Split the host's GPUs: (positions to use, idle GPUs with reason, violations).

    Positions are in index order. A name in `exclude` that means no GPU is a violation.
    """
    keep: list[int] = []
    idle: list[dict[str, Any]] = []
    gpus = topology["gpus"]
    for position in sorted(range(len(gpus)), key=lambda place: int(gpus[place]["index"])):
        gpu = gpus[position]
        reasons = faults(gpu)
        if any(matches(gpu, name) for name in exclude):
            reasons.append("excluded by placement_exclude")
        if reasons:
            idle.append(idle_entry(gpu, "; ".join(reasons)))
        else:
            keep.append(position)
    known = ", ".join(str(gpu["index"]) for gpu in gpus)
    violations = [
        f"placement_exclude names '{name}', which is no GPU here (indices {known}, or a UUID)"
        for name in exclude
        if not any(matches(gpu, name) for gpu in gpus)
    ]
    return keep, idle, violations


def one_kind(
    topology: dict[str, Any], exclude: Sequence[str], keep: Sequence[int], size: int
) -> tuple[list[int], list[dict[str, Any]]]:
    """Those of `keep` that are of the host's leading kind, and the others as idle GPUs."""
    gpus = topology["gpus"]
    asked = [gpu for gpu in gpus if not any(matches(gpu, name) for name in exclude)]
    first = kinds.leading(asked, size)
    if first is None:
        return list(keep), []
    others = [place for place in keep if not kinds.alike(first, gpus[place])]
    return [place for place in keep if place not in others], [
        idle_entry(
            gpus[place],
            f"it is {kinds.told(gpus[place])}, the workers of this host run on"
            f" {kinds.told(first)}; a worker on it has to be named in placement_layout",
        )
        for place in others
    ]


def idle_entry(gpu: dict[str, Any], reason: str) -> dict[str, Any]:
    """How the plan names a GPU that no worker uses."""
    return {"index": gpu["index"], "uuid": gpu.get("uuid"), "reason": reason}


def by_hand(
    topology: dict[str, Any],
    layout: Sequence[Sequence[str]],
    keep: Sequence[int],
    idle: Sequence[dict[str, Any]],
    size: int,
) -> tuple[list[tuple[int, ...]], list[str]]:
    """A layout given by hand as positions in `keep`, with everything that is wrong with it."""
    gpus = topology["gpus"]
    out = {entry["index"]: entry["reason"] for entry in idle}
    groups: list[tuple[int, ...]] = []
    violations: list[str] = []
    seen: set[int] = set()
    for number, names in enumerate(layout):
        where = f"placement_layout group {number} {list(names)}"
        if len(names) != size:
            violations.append(f"{where} has {len(names)} GPUs, placement_group_size is {size}")
        group = []
        for name in names:
            found = [place for place, gpu in enumerate(gpus) if matches(gpu, name)]
            if not found:
                violations.append(f"{where}: '{name}' is no GPU of this host")
            elif found[0] in seen:
                violations.append(f"{where}: GPU '{name}' is named twice")
            elif found[0] not in keep:
                reason = out[gpus[found[0]]["index"]]
                violations.append(f"{where}: GPU '{name}' cannot be used: {reason}")
            else:
                group.append(keep.index(found[0]))
            seen.update(found)
        groups.append(tuple(sorted(group)))
    return groups, violations
