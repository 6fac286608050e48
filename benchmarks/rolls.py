#!/usr/bin/env python3
"""How long a roll takes, by number of hosts and by batch.

    python3 benchmarks/rolls.py inventory/lab gpu1 gpu2
    python3 benchmarks/rolls.py inventory/big --batch 1 --batch 1,2 gpu1 gpu2 gpu3

The service has to be deployed there. For 1, 2, 4, 8, ... of the hosts, and all of them, every
worker is restarted by playbooks/rolling_restart.yml. Prints a line a roll: wall time from the first
task to the last, in all and for each batch; how long a worker was out of service at most, and how
much of that was its own start; and the tasks that Ansible ran, of which a turn is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ansible_runner

PROJECT = Path(__file__).resolve().parent.parent


def roll(inventory: str, hosts: list[str], batch: str) -> dict[str, Any]:
    """Restart all workers of these hosts; what the run's events say."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as private:
        run = ansible_runner.run(
            private_data_dir=private,
            project_dir=str(PROJECT),
            playbook="playbooks/rolling_restart.yml",
            inventory=str(Path(inventory).resolve()),
            extravars={
                "roll_workers": ",".join(hosts),
                "roll_batch": batch.split(","),
                "roll_max_out": "100%",
            },
            envvars={"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
            quiet=True,
        )
        seconds = time.monotonic() - begun
        ended = [e["event_data"] for e in run.events if e["event"].startswith("runner_on_")]
        failed = "" if run.rc == 0 else run.stdout.read()
    if failed:
        sys.exit(f"the roll failed:\n{failed}")
    turns = [
        row["seconds"]
        for data in ended
        if data.get("task_action") == "worker_service"
        for result in (data.get("res") or {}).get("results", [])
        for row in result["workers"]
    ]
    plan = next(
        data["res"]
        for data in ended
        if data.get("task_action") == "fleet_plan" and "serial" in (data.get("res") or {})
    )
    return {
        "seconds": seconds,
        "batches": len(plan["serial"]),
        "workers": len(turns),
        "out": max(turn["out"] for turn in turns),
        "start": max(turn["start"] for turn in turns),
        "tasks": len([data for data in ended if data.get("res")]),
    }


def main() -> int:
    """Roll every subset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inventory")
    parser.add_argument("hosts", nargs="+", help="worker hosts")
    parser.add_argument("--batch", action="append", help="roll_batch, comma list (1)")
    options = parser.parse_args()
    counts = [2**power for power in range(8) if 2**power < len(options.hosts)]
    for batch in options.batch or ["1"]:
        for count in [*counts, len(options.hosts)]:
            done = roll(options.inventory, options.hosts[:count], batch)
            print(
                f"{count:3} hosts, {done['workers']:3} workers, batches of {batch}: "
                f"{done['seconds']:6.1f} s, {done['seconds'] / done['batches']:5.1f} s a batch; "
                f"a worker out {done['out']:.1f} s at most, its start {done['start']:.1f} s at "
                f"most; {done['tasks']} tasks",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
