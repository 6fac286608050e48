"""One drill after another under one load, and the table of what they cost."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.load.record import WHOLE
from ansible.module_utils.dynfleet.load.summary import summarise, within

from drills.faults import Drill, unexplained
from drills.fleet import DrillError, Fleet
from drills.load import Load


@dataclass
class Result:
    """A line of the table."""

    drill: str
    what: str = ""
    healthy: float | None = None  # seconds
    unexplained: int = 0
    migrations: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    excuses: dict[str, int] = field(default_factory=dict)  # requests by reason
    error: str = ""

    @property
    def passed(self) -> bool:
        """Healthy again, and every request that was not whole is explained."""
        return not self.error and self.unexplained == 0


def drill(fleet: Fleet, load: Load, one: Drill, settle: float) -> Result:
    """Make one fault, wait for full health, and look at the requests that ended since.

    settle: seconds after which the requests that were under way have ended.
    """
    result = Result(one.name)
    before = fleet.migrations()
    start = time.time()
    excuses = []
    try:
        made = one.make(fleet)
        result.what, excuses = made.what, made.excuses
        begun = made.healthy_from or start
        result.healthy = round(fleet.wait_healthy(one.limit) - begun, 1)
    except DrillError as error:
        result.error = str(error)
    time.sleep(settle)
    result.migrations = max(0, fleet.migrations() - before)
    records = within(load.records(), start, time.time())
    result.figures = summarise(records, start)
    result.unexplained = len(unexplained(records, excuses))
    for excuse in excuses:
        count = sum(record.outcome != WHOLE and excuse.covers(record) for record in records)
        if count:
            result.excuses[excuse.why] = count
    if not records and not result.error:
        result.error = "no request ended meanwhile: the load did not run"
    return result


def run(
    fleet: Fleet, drills: list[Drill], streams: int, tokens: tuple[int, int], settle: float
) -> list[Result]:
    """All drills, under one load that runs all the while."""
    fleet.count_workers()
    fleet.wait_healthy(60)
    load = Load(fleet, streams, tokens)
    results = []
    try:
        # All streams are under way, spread over their lengths.
        time.sleep(settle)
        for one in drills:
            print(f"{one.name} ...", flush=True)
            results.append(drill(fleet, load, one, settle))
            print(line(results[-1]), flush=True)
            if results[-1].error:
                break
        load.stop()
    finally:
        load.close()
    return results


COLUMNS = "{:<20} {:>8} {:>6} {:>9} {:>5} {:>8} {:>10} {:>12} {:>11}"
HEADER = COLUMNS.format(
    "fault",
    "requests",
    "failed",
    "truncated",
    "wrong",
    "migrated",
    "pause (s)",
    "healthy (s)",
    "unexplained",
)


def line(result: Result) -> str:
    """A result as a line of the table."""
    seen = result.figures
    return COLUMNS.format(
        result.drill,
        seen["requests"],
        seen["failed"],
        seen["truncated"],
        seen["wrong"],
        result.migrations,
        f"{seen['longest_pause']:.1f}",
        "-" if result.healthy is None else f"{result.healthy:.1f}",
        result.unexplained,
    )


def table(results: list[Result]) -> str:
    """The whole table, with what was done and why requests were lost."""
    lines = [HEADER, *(line(result) for result in results), ""]
    for result in results:
        lines.append(f"{result.drill}: {result.what or 'not done'}")
        lines += [f"  {count} lost: {why}" for why, count in result.excuses.items()]
        if result.unexplained:
            lines += [f"  {count}x {why}" for why, count in result.figures["reasons"].items()]
        if result.error:
            lines.append(f"  {result.error}")
    return "\n".join(lines)


def write(results: list[Result], path: Path) -> None:
    """The results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps([{**asdict(result), "passed": result.passed} for result in results], indent=2)
        + "\n"
    )
