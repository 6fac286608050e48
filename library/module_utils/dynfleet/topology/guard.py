"""The guard of a worker's unit: refuse to start on another topology than the planned one.

Runs as `ExecStartPre=` inside the unit's sandbox, as its user. Exit status: 0 the topology is the
planned one, 1 it differs, 2 it cannot be told (no plan, no such worker, no answer in time).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import fingerprint, gpus, recorded

SAME, DIFFERENT, UNKNOWN = 0, 1, 2
RECORDED = "recorded:"
# Seconds for NVML and for nvidia-smi. A unit's start waits for it.
SECONDS = 8.0


class CannotTell(Exception):
    """There is nothing to compare; the message says why."""


def now(source: str, seconds: float) -> dict[str, Any]:
    """The GPUs and links as they are now, read where the plan's were read from."""
    if source.startswith(RECORDED):
        try:
            return recorded.read(source[len(RECORDED) :])
        except recorded.Unreadable as error:
            raise CannotTell(str(error)) from error
    found = gpus.read(seconds)
    if not found["gpus"]:
        raise CannotTell("; ".join(problem["message"] for problem in found["problems"]))
    return found


def compare(plan: dict[str, Any], index: int, seconds: float) -> list[str]:
    """How the topology of worker `index` differs from the plan. Raises CannotTell."""
    workers = plan["workers"]
    worker = next((one for one in workers if one["index"] == index), None)
    if worker is None:
        raise CannotTell(f"the plan has workers 0 to {len(workers) - 1}, not {index}")
    total = sum(len(one["gpus"]) for one in workers) + len(plan["idle"])
    return fingerprint.differences(
        worker["gpus"], worker["links"], now(plan["source"], seconds), total
    )


def load(path: str) -> dict[str, Any]:
    """The plan in a file. Raises CannotTell."""
    try:
        plan: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotTell(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CannotTell(f"{path} is not JSON: {error}") from error
    if not _is_plan(plan):
        raise CannotTell(f"{path} is no plan of this release")
    return plan


def _is_plan(plan: Any) -> bool:
    """Whether it has everything that is looked at here."""
    if not isinstance(plan, dict) or not isinstance(plan.get("workers"), list):
        return False
    return {"host", "source", "idle"} <= set(plan) and all(
        isinstance(worker, dict) and {"index", "gpus", "links"} <= set(worker)
        for worker in plan["workers"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, say what differs, return the exit status."""
    parser = argparse.ArgumentParser(prog="topology-guard", description=__doc__)
    parser.add_argument("--plan", required=True, help="file of the plan")
    parser.add_argument("--worker", required=True, type=int, help="number of the worker")
    parser.add_argument("--timeout", type=float, default=SECONDS, help="seconds for the driver")
    options = parser.parse_args(arguments)
    host = "HOST"
    try:
        plan = load(options.plan)
        host = plan["host"]
        told = compare(plan, options.worker, options.timeout)
        status = DIFFERENT if told else SAME
    except CannotTell as error:
        told, status = [str(error)], UNKNOWN
    if status != SAME:
        print(f"topology-guard: worker {options.worker} must not start:", file=sys.stderr)
        print(*[f"  {line}" for line in told], sep="\n", file=sys.stderr)
        print(
            "Mend the host, or plan anew for it as it is:"
            f" ansible-playbook playbooks/plan.yml --limit {host} shows the plan,"
            f" ansible-playbook site.yml --limit {host} deploys it.",
            file=sys.stderr,
        )
    return status
