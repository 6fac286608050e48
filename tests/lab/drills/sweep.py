"""The sweep: a roll killed at one point after another, and run again.

A point is a line of the output of a roll that has its lock, and a moment before the next line:
within a second, or anywhere in a task that takes longer. Which ones are taken is drawn by a seed.
Killed is, with SIGKILL, one of (drills.victims):

controller  the run with all that it started, and the ssh connections of this lab; what runs on the
            hosts goes on, as it would after a controller's power failed.
modules     the modules on the hosts, as the kernel does when memory runs out; points are then in
            tasks that restart something.

After the second run every worker of the roll has been restarted once, over both runs together,
nothing is cordoned, and the fleet is whole. A roll that had given its lock back when it was killed
was over, which a kill at one of the last lines can come too late for: the second one is a roll of
its own.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

from ansible.module_utils.dynfleet.day2.lock import KEY as LOCK
from ansible.module_utils.dynfleet.verify import client

from drills import PROJECT, victims
from drills.fleet import DrillError, Fleet

PLAYBOOK = "playbooks/rolling_restart.yml"
UNLOCK = "TASK [Give the lock back]"
RESTARTS = "TASK [Restart "


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
    killed: int = 0  # modules
    over: bool = False  # the roll had ended: the second run is another one
    seconds: float = 0.0  # until the kill
    second_run: float = 0.0
    restarts: dict[str, int] = field(default_factory=dict)  # by worker of the roll, over both runs
    strangers: list[str] = field(default_factory=list)  # workers that were not to be restarted
    cordoned: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def passed(self) -> bool:
        """Converged, nobody left out, nobody started twice."""
        left_alone = not self.cordoned and not self.strangers
        wanted = 2 if self.over else 1
        return not self.error and left_alone and set(self.restarts.values()) == {wanted}


def start(fleet: Fleet, options: tuple[str, ...]) -> subprocess.Popen[str]:
    """Begin a roll in a process group of its own."""
    return subprocess.Popen(
        fleet.command(PLAYBOOK, *options),
        cwd=PROJECT,
        env=fleet.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@dataclass(frozen=True)
class Line:
    """A line that an undisturbed roll prints: the task it belongs to, seconds until the next."""

    task: str
    pause: float


def lines_of_a_roll(fleet: Fleet, options: tuple[str, ...]) -> list[Line]:
    """The lines that a roll prints before it gives its lock back."""
    process = start(fleet, options)
    assert process.stdout
    lines, times, tasks = [], [], [""]
    for text in process.stdout:
        lines.append(text)
        times.append(time.monotonic())
        tasks.append(text if text.startswith(("TASK [", "PLAY [")) else tasks[-1])
    if process.wait() != 0:
        raise DrillError("a roll that is not disturbed fails:\n" + "".join(lines[-40:]))
    end = next((number for number, text in enumerate(lines) if text.startswith(UNLOCK)), None)
    if end is None:
        raise DrillError(f"a roll does not print {UNLOCK}:\n" + "".join(lines[-40:]))
    pauses = [after - before for before, after in pairwise(times[: end + 1])]
    return [Line(task, pause) for task, pause in zip(tasks[1:], pauses)]


def candidates(lines: Sequence[Line], victim: str) -> list[int]:
    """Numbers of the lines, from 1, after which there is something to kill."""
    return [
        number
        for number, line in enumerate(lines, 1)
        if victim == "controller" or (line.task.startswith(RESTARTS) and line.pause > 0.5)
    ]


def kill_at(
    fleet: Fleet, options: tuple[str, ...], point: Point, delay: float, victim: str
) -> None:
    """Run a roll to a line, and kill so many seconds later."""
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
    if victim == "modules":
        point.killed = victims.modules(fleet, process)
        rest = process.stdout.read()  # the roll ends by itself
        if process.wait() == 0 and point.killed:
            point.error = f"its modules were killed, and the roll says that all is well:\n{rest}"
    else:
        victims.controller(fleet, process)
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


def sweep_one(fleet: Fleet, workers: str, point: Point, delay: float, victim: str) -> None:
    """Kill at one point, run again, and look."""
    options = roll(workers)
    since = time.time()
    # systemd's journal is asked by the second.
    time.sleep(1.1)
    kill_at(fleet, options, point, delay, victim)
    if point.error:
        return
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
    verdict = "ok" if point.passed else "FAILED"
    verdict += f", {point.killed} modules" if point.killed else ""
    verdict += ", the roll was over" if point.over else ""
    return (
        f"{point.line:>4} of {point.of:<4} {point.seconds:>6.1f} s  {point.killed_in[:44]:<44} "
        f"{point.second_run:>6.1f} s  {restarts:<7} {len(point.cordoned):>8}  {verdict}"
    )


HEADER = f"{'killed at line':<23} {'in':<44} {'2nd run':>8}  {'starts':<7} {'cordoned':>8}"


def sweep(
    fleet: Fleet,
    points: int,
    seed: int,
    *,
    workers: str = "",
    lines: Sequence[int] = (),
    victim: str = "controller",
) -> list[Point]:
    """Kill at so many points, and print each as it was."""
    fleet.count_workers()
    fleet.wait_healthy(60)
    printed = lines_of_a_roll(fleet, roll(workers))
    total = len(printed)
    if beyond := [number for number in lines if not 0 < number <= total]:
        raise DrillError(f"--lines {beyond}: a roll has lines 1 to {total} while it has its lock")
    dice = random.Random(seed)  # noqa: S311
    possible = candidates(printed, victim)
    if victim == "modules":
        # A long task is one line, and may be killed in as many moments as it is long.
        weights = [printed[number - 1].pause for number in possible]
        drawn = dice.choices(possible, weights, k=points)
    else:
        drawn = dice.sample(possible, min(points, len(possible)))
    chosen = list(lines) or sorted(drawn)
    print(f"{victim}, seed {seed}, {len(chosen)} of {total} lines\n{HEADER}", flush=True)
    seen = []
    for number in chosen:
        point = Point(number, total)
        pause = printed[number - 1].pause
        delay = dice.random() * (pause if victim == "modules" else max(1.0, pause))
        sweep_one(fleet, workers, point, delay, victim)
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
    parser.add_argument("--victim", choices=("controller", "modules"), default="controller")
    parser.add_argument("--report", type=Path, default=PROJECT / "reports" / "sweep.json")
    options = parser.parse_args()
    fleet = Fleet(options.inventory.resolve())
    points = sweep(
        fleet,
        options.points,
        options.seed,
        workers=options.workers,
        lines=options.lines,
        victim=options.victim,
    )
    options.report.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([{**asdict(point), "passed": point.passed} for point in points], indent=2)
    options.report.write_text(text + "\n")
    return 0 if points and all(point.passed for point in points) else 1


if __name__ == "__main__":
    sys.exit(main())
