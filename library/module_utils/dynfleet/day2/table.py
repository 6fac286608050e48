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


def add_routes(hosts: Mapping[str, Mapping[str, Any]]) -> None:
    """Note in each worker's row which frontends do not send it requests, though it is registered.

    hosts: by name, ``units`` and ``routed`` of unit_status.
    """
    routers = {name: host["routed"] for name, host in hosts.items() if host["routed"] is not None}
    for host in hosts.values():
        for row in host["units"]:
            if row["index"] is not None and row["ready"] and row["registered"]:
                row["not_routed_by"] = [
                    name for name, routed in routers.items() if row["instance"] not in routed
                ]


def unfinished(hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines about releases that were switched to, and that no roll has closed on."""
    for name, host in hosts.items():
        current, good = host["releases"]["current"], host["releases"]["good"]
        serves = any(row["release"] and row.get("drained") is None for row in host["units"])
        if good and current != good and serves:
            yield (
                f"{name}: release {current} is current, and no roll has closed on it; the last "
                f"good one is {good} (site.yml goes on, playbooks/rollback.yml goes back)"
            )


def out_of_service(row: Mapping[str, Any]) -> str:
    """Why a unit takes no requests, or is not as desired; empty where all is well."""
    worker = row["index"] is not None
    reasons = (
        (row.get("drained") is not None, f"drained {marks.told(row.get('drained'))}"),
        (row.get("cordoned") is not None, f"cordoned {marks.told(row.get('cordoned'))}"),
        (row.get("flapping"), row.get("flapping")),
        (not row["active"], "not running"),
        (worker and not row.get("registered"), "not registered"),
        (worker and not row.get("ready"), "not ready"),
        (
            row.get("not_routed_by"),
            f"registered, but not routed by {', '.join(row.get('not_routed_by', []))}: "
            "journalctl -u dynamo-frontend there says why",
        ),
        (row["differs"], "runs with another configuration"),
    )
    return next((str(why) for holds, why in reasons if holds), "")


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
