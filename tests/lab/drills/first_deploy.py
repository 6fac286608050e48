"""The first deploy, killed at random moments: python -m drills.first_deploy --points 20

For each point the lab's hosts are made anew, site.yml is killed (with all that it started and the
ssh connections, with SIGKILL) at a moment drawn by a seed from the time that a whole one takes,
every third one a second time; what runs on the hosts goes on. Then site.yml has to succeed,
verify.yml to pass, and another site.yml to change nothing. Takes the lab away at the end.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from drills import PROJECT, victims
from drills.fleet import DrillError, Fleet

CHANGED = re.compile(r"changed=(\d+)")
HEADER = f"{'point':>5}  {'killed after, in':<78} {'next run':>9}  outcome"


@dataclass
class Point:
    """One first deploy and how it ended."""

    kills: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of the run that completed it
    error: str = ""


def kill_after(fleet: Fleet, seconds: float) -> str:
    """Run site.yml and kill it; when, and in which task. Empty where it had ended by itself."""
    # A file: nobody reads while it runs, and a full pipe would stop it.
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            fleet.command("site.yml"),
            cwd=PROJECT,
            env=fleet.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            victims.controller(fleet, process)
            process.wait()
        output.seek(0)
        text = output.read()
    if process.returncode == 0:
        return ""
    tasks = [line.strip(" *") for line in text.splitlines() if line.startswith("TASK [")]
    return f"{seconds:.0f} s, {tasks[-1] if tasks else 'before its first task'}"


def fresh(fleet: Fleet) -> None:
    """Make the lab's hosts anew."""
    fleet.must_play("playbooks/lab_down.yml")
    fleet.must_play("playbooks/lab_up.yml")


def converge(fleet: Fleet, point: Point) -> None:
    """Complete the deploy, prove it, and see that nothing is left to change."""
    done = fleet.play("site.yml")
    point.seconds = round(done.seconds, 1)
    if done.rc != 0:
        point.error = f"the next site.yml ended with {done.rc}:\n{done.output[-4000:]}"
        return
    proof = fleet.play("playbooks/verify.yml")
    if proof.rc != 0:
        point.error = f"verify.yml ended with {proof.rc}:\n{proof.output[-4000:]}"
        return
    again = fleet.play("site.yml")
    changed = sum(map(int, CHANGED.findall(again.output)))
    if again.rc != 0 or changed:
        point.error = f"another site.yml: rc {again.rc}, changed {changed}:\n{again.output[-4000:]}"


def sweep(fleet: Fleet, points: int, seed: int) -> list[Point]:
    """Kill so many first deploys, and print each as it was."""
    fresh(fleet)
    begun = time.monotonic()
    fleet.must_play("site.yml")
    whole = time.monotonic() - begun
    print(f"seed {seed}; a whole deploy takes {whole:.0f} s\n{HEADER}", flush=True)
    dice = random.Random(seed)  # noqa: S311
    seen = []
    for number in range(1, points + 1):
        point = Point()
        # A run that ended before its moment came is no point.
        while not point.kills:
            fresh(fleet)
            point.kills = list(filter(None, [kill_after(fleet, dice.uniform(1, whole))]))
        if number % 3 == 0:
            point.kills.append(kill_after(fleet, dice.uniform(1, whole / 2)))
        converge(fleet, point)
        seen.append(point)
        kills = "; then ".join(kill or "it had ended" for kill in point.kills)
        outcome = "FAILED" if point.error else "ok"
        print(f"{number:>5}  {kills:<78} {point.seconds:>7.1f} s  {outcome}", flush=True)
        if point.error:
            print(point.error)
            break
    return seen


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="drills.first_deploy", description=__doc__)
    parser.add_argument("--inventory", type=Path, default=Path(__file__).parent / "inventory")
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=PROJECT / "reports" / "first-deploy.json")
    options = parser.parse_args()
    fleet = Fleet(options.inventory.resolve())
    try:
        points = sweep(fleet, options.points, options.seed)
    except DrillError as error:
        print(error)
        return 1
    finally:
        fleet.play("playbooks/lab_down.yml")
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps([asdict(point) for point in points], indent=2) + "\n")
    return 0 if points and not any(point.error for point in points) else 1


if __name__ == "__main__":
    sys.exit(main())
