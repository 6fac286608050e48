"""The sweep: ansible-playbook killed at one point after another of a roll, and run again.

A point is a line of the output of a roll that has its lock, and a moment before the next line:
within a second, or anywhere in a task that takes longer. Which ones are taken is drawn by a seed.
Killed are the whole process group and the ssh connections of this lab, with SIGKILL; what runs on
the hosts goes on, as it would after a controller's power failed. After the second run every worker
of the roll has been restarted once, over both runs together, nothing is cordoned, and the fleet is
whole. A roll that had given its lock back when it was killed was over, which a kill at one of the
last lines can come too late for: the second one is a roll of its own.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

from ansible.module_utils.dynfleet.day2.lock import KEY as LOCK
from ansible.module_utils.dynfleet.verify import client

from drills import PROJECT
from drills.fleet import DrillError, Fleet

PLAYBOOK = "playbooks/rolling_restart.yml"
UNLOCK = "TASK [Give the lock back]"


def roll(workers: str) -> tuple[str, ...]:
    """Options of a roll of these workers (HOST:N, comma list), or of everything."""
    wanted = {"roll_workers": workers} if workers else {"roll_force": True}
    return ("--extra-vars", json.dumps(wanted))


@dataclass
class Point:
    """One kill and what came after it."""

    line: int
    of: int
    killed_in: str = ""
    over: bool = False  # the roll had ended: the second run is another one
    seconds: float = 0.0  # until the kill
    second_run: float = 0.0
    restarts: dict[str, int] = field(default_factory=dict)  # by worker of the roll, over both runs
    strangers: list[str] = field(default_factory=list)  # workers that were not to be restarted
    cordoned: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def passed(self) -> bool:
        """Converged, nobody left out, nobody restarted twice."""
        left_alone = not self.cordoned and not self.strangers
        wanted = 2 if self.over else 1
        return not self.error and left_alone and set(self.restarts.values()) == {wanted}


def connections(fleet: Fleet) -> list[int]:
    """Processes of this lab's shared ssh connections."""
    mark = str(fleet.state / "ssh" / "cp").encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in line and line.startswith(b"ssh"):
                found.append(int(entry.name))
    return found


def start(fleet: Fleet, options: tuple[str, ...]) -> subprocess.Popen[str]:
    """Begin a roll in a process group of its own."""
    return subprocess.Popen(
        fleet.command(PLAYBOOK, *options),
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def pauses_of_a_roll(fleet: Fleet, options: tuple[str, ...]) -> list[float]:
    """Seconds after each line that a roll prints before it gives its lock back, not disturbed."""
    process = start(fleet, options)
    assert process.stdout
    lines, times = [], []
    for text in process.stdout:
        lines.append(text)
        times.append(time.monotonic())
    if process.wait() != 0:
        raise DrillError("a roll that is not disturbed fails:\n" + "".join(lines[-40:]))
    end = next((number for number, text in enumerate(lines) if text.startswith(UNLOCK)), None)
    if end is None:
        raise DrillError(f"a roll does not print {UNLOCK}:\n" + "".join(lines[-40:]))
    return [after - before for before, after in pairwise(times[: end + 1])]


def kill_at(fleet: Fleet, options: tuple[str, ...], point: Point, delay: float) -> None:
    """Run a roll to a line, and kill all of it so many seconds later."""
    begun = time.monotonic()
    process = start(fleet, options)
    assert process.stdout
    for number, text in enumerate(process.stdout, 1):
        if text.startswith(("TASK [", "PLAY [", "PLAY RECAP")):
            point.killed_in = text.strip(" *\n")
        if number >= point.line:
            break
    time.sleep(delay)
    point.seconds = round(time.monotonic() - begun, 1)
    os.killpg(process.pid, signal.SIGKILL)
    for number in connections(fleet):
        with suppress(ProcessLookupError):  # one may have ended with the other
            os.kill(number, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def worker_units(fleet: Fleet) -> list[tuple[str, str]]:
    """Host and unit of every worker."""
    return [
        (host, f"dynamo-worker@{index}.service")
        for host, count in fleet.workers.items()
        for index in range(count)
    ]


def has_lock(fleet: Fleet) -> bool:
    """Whether a roll has its lock in etcd."""
    key = base64.b64encode(LOCK.encode()).decode()
    for host in fleet.groups["etcd"]:
        answer = client.ask(f"{fleet.etcd(host)}/v3/kv/range", 5, {"key": key})
        if answer.status == 200:
            return bool((answer.document() or {}).get("kvs"))
    raise DrillError("no member of etcd answers")


def count_starts(fleet: Fleet, workers: str, since: float) -> tuple[dict[str, int], list[str]]:
    """Starts of the roll's workers since a time, and other workers that were started."""
    counts, strangers = {}, []
    for host, unit in worker_units(fleet):
        count = fleet.starts(host, unit, since)
        index = unit.partition("@")[2].partition(".")[0]
        if not workers or f"{host}:{index}" in workers.split(","):
            counts[f"{host}/{unit}"] = count
        elif count:
            strangers.append(f"{host}/{unit}")
    return counts, strangers


def sweep_one(fleet: Fleet, workers: str, point: Point, delay: float) -> None:
    """Kill at one point, run again, and look."""
    options = roll(workers)
    since = time.time()
    # systemd's journal is asked by the second.
    time.sleep(1.1)
    kill_at(fleet, options, point, delay)
    counts, _ = count_starts(fleet, workers, since + 1)
    point.over = set(counts.values()) == {1} and not has_lock(fleet)
    again = fleet.play(PLAYBOOK, *options)
    point.second_run = round(again.seconds, 1)
    if again.rc != 0:
        point.error = f"the second run ended with {again.rc}:\n{again.output[-3000:]}"
        return
    try:
        fleet.wait_healthy(60)
    except DrillError as error:
        point.error = str(error)
    point.restarts, point.strangers = count_starts(fleet, workers, since + 1)
    for host in fleet.groups["workers"]:
        left = fleet.ssh(host, "ls /run/dynamo-roll/cordoned 2>/dev/null || true").split()
        point.cordoned += [f"{host}/{name}" for name in left]


def line(point: Point) -> str:
    """A point as a line of the table."""
    counts = sorted(point.restarts.values())
    restarts = f"{counts[0]} to {counts[-1]}" if counts else "-"
    return (
        f"{point.line:>4} of {point.of:<4} {point.seconds:>6.1f} s  {point.killed_in[:44]:<44} "
        f"{point.second_run:>6.1f} s  {restarts:<7} {len(point.cordoned):>8}  "
        f"{'ok' if point.passed else 'FAILED'}{', the roll was over' if point.over else ''}"
    )


HEADER = f"{'killed at line':<23} {'in':<44} {'2nd run':>8}  {'starts':<7} {'cordoned':>8}"


def sweep(
    fleet: Fleet, points: int, seed: int, workers: str = "", lines: Sequence[int] = ()
) -> list[Point]:
    """Kill at so many points, and print each as it was."""
    fleet.count_workers()
    fleet.wait_healthy(60)
    pauses = pauses_of_a_roll(fleet, roll(workers))
    total = len(pauses)
    if beyond := [number for number in lines if not 0 < number <= total]:
        raise DrillError(f"--lines {beyond}: a roll has lines 1 to {total} while it has its lock")
    dice = random.Random(seed)  # noqa: S311
    chosen = list(lines) or sorted(dice.sample(range(1, total + 1), min(points, total)))
    print(f"seed {seed}, {len(chosen)} of {total} lines\n{HEADER}", flush=True)
    seen = []
    for number in chosen:
        point = Point(number, total)
        sweep_one(fleet, workers, point, dice.random() * max(1.0, pauses[number - 1]))
        print(line(point), flush=True)
        seen.append(point)
        if point.error:
            print(point.error)
            break
    return seen


def main() -> int:
    """Entry point of ``python -m drills.sweep``."""
    parser = argparse.ArgumentParser(prog="drills.sweep", description=__doc__)
    parser.add_argument("--inventory", type=Path, default=Path(__file__).parent / "inventory")
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, nargs="+", default=(), help="instead of drawn ones")
    parser.add_argument("--workers", default="", help="HOST:N, comma list; default: everything")
    parser.add_argument("--report", type=Path, default=PROJECT / "reports" / "sweep.json")
    options = parser.parse_args()
    fleet = Fleet(options.inventory.resolve())
    points = sweep(fleet, options.points, options.seed, options.workers, options.lines)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([{**asdict(point), "passed": point.passed} for point in points], indent=2)
    options.report.write_text(text + "\n")
    return 0 if points and all(point.passed for point in points) else 1


if __name__ == "__main__":
    sys.exit(main())
