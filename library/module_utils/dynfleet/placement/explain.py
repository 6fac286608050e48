"""The plan in sentences and as a table, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def members(group: Sequence[int]) -> str:
    """`0+3`: a group as people write it."""
    return "+".join(str(index) for index in group)


def listed(groups: Sequence[Sequence[int]], links: Sequence[str]) -> str:
    """`0+2 NV12, 1+4 NV12`."""
    return ", ".join(
        members(group) + ("" if link == "X" else f" {link}") for group, link in zip(groups, links)
    )


def counted(number: int, noun: str) -> str:
    """`1 group`, `2 groups`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def explain(plan: dict[str, Any], unclean: Sequence[Sequence[int]]) -> list[str]:
    """Why the plan is as it is, one sentence a line. unclean: groups that force their link."""
    optimum, naive, second = plan["optimum"], plan["index_order"], plan["runner_up"]
    lines = []
    if plan["by_hand"]:
        lines.append(
            "The layout was given by hand. The optimum is"
            f" {listed(optimum['groups'], optimum['links'])}; cost of the layout against it:"
            f" {plan['cost']}."
        )
    else:
        lines.append(
            f"{counted(len(plan['workers']), 'group')} of {plan['group_size']}:"
            f" {listed(optimum['groups'], optimum['links'])}."
        )
    if naive["same_groups"]:
        lines.append("Grouping by index gives the same groups here.")
    else:
        lines.append(
            f"Grouping by index would be {listed(naive['groups'], naive['links'])}; its cost:"
            f" {naive['cost']}."
        )
    if second is not None:
        lines.append(
            f"Runner-up: {listed(second['groups'], second['links'])}; its cost: {second['cost']}."
        )
    else:
        lines.append("There is no other way to group these GPUs.")
    if plan["forced"]:
        lines.append(
            "Forced: no better grouping exists than one where"
            f" {', '.join('GPUs ' + members(group) for group in unclean)} neither share a NUMA"
            " node nor are joined by NVLink."
        )
    return lines + notes(plan)


def notes(plan: dict[str, Any]) -> list[str]:
    """What an operator has to know even without asking for the plan: idle GPUs and warnings."""
    idle = [f"GPU {gpu['index']} is idle: {gpu['reason']}." for gpu in plan["idle"]]
    return idle + [f"Warning: {warning}." for warning in plan["warnings"]]


def table(plan: dict[str, Any]) -> list[str]:
    """The workers as lines of a table with aligned columns."""
    rows = [("worker", "GPUs", "link", "NUMA", "CPUs", "SSD", "network")]
    for worker in plan["workers"]:
        node = worker["numa_node"]
        rows.append(
            (
                str(worker["index"]),
                members([gpu["index"] for gpu in worker["gpus"]]),
                worker["link"],
                "-" if node is None else str(node),
                worker["cpus"] or "-",
                " ".join(worker["ssd_dirs"]) or "-",
                " ".join(worker["net_devices"]) or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head = f"{plan['host']}  ({plan['source']})"
    return [head] + [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
