"""The state of a fleet's units: rows for a report, lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.module_utils.dynfleet.day2 import marks

COLUMNS = ("where", "state", "since", "release", "GPUs", "in flight", "cache", "out of service")


def rows(
    hosts: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Sequence[int]] | None
) -> list[dict[str, Any]]:
    """Every unit with its host; only the wanted workers (indices by host) where these are given."""
    return [
        {"host": name, **unit}
        for name, host in hosts.items()
        for unit in host["units"]
        if wanted is None or unit["index"] in wanted.get(name, ())
    ]


def out_of_service(row: Mapping[str, Any]) -> str:
    """Why a unit takes no requests, or is not as wanted; empty where all is well."""
    if row.get("drained") is not None:
        return f"drained {marks.told(row['drained'])}"
    if row.get("cordoned") is not None:
        return f"cordoned {marks.told(row['cordoned'])}"
    if not row["active"]:
        return "not running"
    if row["index"] is not None and not row["registered"]:
        return "not registered"
    if row["index"] is not None and not row["ready"]:
        return "not ready"
    return "runs with another configuration" if row["differs"] else ""


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row as text, one cell a column."""
    worker = row["index"] is not None
    name = row["name"].removeprefix("dynamo-").removesuffix(".service")
    in_flight = row.get("in_flight")
    cache = row.get("cache_in_use")
    return [
        f"{row['host']}:{row['index']}" if worker else f"{row['host']} {name}",
        row["state"],
        # Of "Tue 2026-01-06 10:00:00 UTC".
        " ".join(row["since"].split()[1:3]),
        row["release"],
        ",".join(str(gpu["index"]) for gpu in row.get("gpus", [])),
        ("?" if worker and row["active"] else "") if in_flight is None else str(in_flight),
        "" if cache is None else f"{cache:.0%}",
        out_of_service(row),
    ]


def lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The rows as a table."""
    text = [list(COLUMNS), *(cells(row) for row in found)]
    widths = [max(len(line[column]) for line in text) for column in range(len(COLUMNS))]
    for line in text:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
