"""Sizes that have to divide: GPUs, groups, attention heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ansible.module_utils.dynfleet.inputs.files import read_json
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem, show

GPUS_OF_A_HOST = 8


def group_size(host: Host) -> int | None:
    """GPUs of one worker, where that is a sensible number."""
    size = host.integer("placement_group_size")
    return size if size is not None and size > 0 else None


def size_name(host: Host) -> str:
    """The variable that says it."""
    return host.chosen("placement_group_size", "dynamo_group_size")


def layout(host: Host) -> list[Sequence[Any]]:
    """The groups made by hand, those that are lists."""
    return [group for group in host.sequence("placement_layout") if isinstance(group, list)]


def declared_gpus(host: Host, fleet: Fleet) -> int | None:
    """How many GPUs the input itself says that a host has: the lab's recorded topologies."""
    recorded = host.text("lab_topology")
    if not recorded:
        return None
    gpus = read_json(str(fleet.root / recorded)).get("gpus")
    return len(gpus) if isinstance(gpus, list) else None


def workers_of(host: Host, fleet: Fleet) -> int:
    """Workers that a host will have, as far as that is known before its GPUs are seen."""
    if by_hand := layout(host):
        return len(by_hand)
    gpus = declared_gpus(host, fleet)
    return (GPUS_OF_A_HOST if gpus is None else gpus) // (group_size(host) or GPUS_OF_A_HOST)


def check(fleet: Fleet) -> Iterator[Problem]:
    """Group sizes against GPUs and layouts, on worker hosts."""
    for host in fleet.members("workers"):
        if host.text("placement_topology_recorded") and host.text("dynamo_engine") == "vllm":
            yield host.problem(
                "placement_topology_recorded",
                "plan and guard go by this file, the GPUs themselves are never looked at",
                "leave it out where there are GPUs",
                warning=True,
            )
        size = group_size(host)
        if size is None:
            continue
        yield from _layout(host, size)
        yield from _named(host)
        gpus = declared_gpus(host, fleet)
        if gpus is None or layout(host):
            continue
        usable = gpus - len(host.sequence("placement_exclude"))
        if size > usable:
            yield host.problem(
                size_name(host), f"{usable} GPUs make no group", f"give at most {usable}"
            )
        elif usable % size:
            yield host.problem(
                size_name(host),
                f"{usable} GPUs do not divide by it, {usable % size} would be idle",
                "take a size that divides them, or name the idle ones in placement_exclude",
            )


def _named(host: Host) -> Iterator[Problem]:
    """GPUs are named by index or UUID."""
    named = {
        "placement_layout": [gpu for group in layout(host) for gpu in group],
        "placement_exclude": host.sequence("placement_exclude"),
    }
    for name, gpus in named.items():
        odd = [gpu for gpu in gpus if isinstance(gpu, bool) or not isinstance(gpu, (int, str))]
        if odd:
            yield host.problem(
                name, f"holds {show(odd[0])}", "name GPUs by index or UUID: 3, or GPU-..."
            )


def _layout(host: Host, size: int) -> Iterator[Problem]:
    name = "placement_layout"
    given = host.sequence(name)
    groups = layout(host)
    if len(groups) < len(given):
        yield host.problem(
            name, "holds something that is no list of GPUs", "write it as [[0, 1], [2, 3]]"
        )
    odd = [list(group) for group in groups if len(group) != size]
    if odd:
        yield host.problem(
            name,
            f"group {odd[0]} has {len(odd[0])} GPUs, {size_name(host)} is {size}",
            f"make every group {size} GPUs, or change {size_name(host)}",
        )
    members = [str(gpu) for group in groups for gpu in group]
    twice = sorted({gpu for gpu in members if members.count(gpu) > 1})
    if twice:
        yield host.problem(
            name, f"uses GPU {', '.join(twice)} twice", "put each GPU into one group"
        )
    excluded = sorted(set(members) & {str(gpu) for gpu in host.sequence("placement_exclude")})
    if excluded:
        yield host.problem(
            name,
            f"uses GPU {', '.join(excluded)}, which placement_exclude leaves out",
            "take it out of one of the two",
        )
