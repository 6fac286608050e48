"""The guard of a worker's unit: refuse to start on another topology than the planned one.

Runs as `ExecStartPre=` inside the unit's sandbox, as its user. Exit status: 0 the topology is the
planned one, 1 it differs, 2 it cannot be told (no plan, no such worker, no answer in time).
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import (
    bounded,
    fingerprint,
    gpus,
    pcie,
    recorded,
    shared,
)
from ansible.module_utils.dynfleet.topology.links import NONE, nvlinks

SAME, DIFFERENT, UNKNOWN = 0, 1, 2
RECORDED = "recorded:"
# Seconds for NVML, and for nvidia-smi. A unit's start waits for it. Without nvidia-persistenced the
# driver initializes every GPU for each call, which takes seconds a GPU.
SECONDS = 20.0
ROOT = Path("/")


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
        raise CannotTell(_problems(found))
    return found


def _problems(topology: dict[str, Any]) -> str:
    return "; ".join(problem["message"] for problem in topology["problems"])


def compare(plan: dict[str, Any], index: int, seconds: float, share: Path | None) -> list[str]:
    """How the topology of worker `index` differs from the plan. Raises CannotTell.

    share: directory that the guards of a host share, None for a reading of our own.
    """
    workers = plan["workers"]
    worker = next((one for one in workers if one["index"] == index), None)
    if worker is None:
        raise CannotTell(f"the plan has workers 0 to {len(workers) - 1}, not {index}")
    gpus_planned, links = worker["gpus"], worker["links"]
    total = sum(len(one["gpus"]) for one in workers) + len(plan["idle"])
    live = not plan["source"].startswith(RECORDED)

    def differences(found: dict[str, Any]) -> list[str]:
        topology = _with_links(worker, found, bool(plan.get("links_from_sysfs"))) if live else found
        told = fingerprint.differences(gpus_planned, links, topology, total)
        apart_from_links = fingerprint.differences(gpus_planned, [], topology, total)
        if live and told and not apart_from_links and _links_unread(found):
            raise CannotTell("; ".join([_problems(found), *told]))
        return told

    def as_planned(found: dict[str, Any]) -> bool:
        try:
            return not differences(found)
        except CannotTell:
            return False

    if live and share is not None and shared.usable(share):
        # As long as a reading by NVML and then by nvidia-smi takes at most, and some.
        patience = 2 * seconds + 5
        read = functools.partial(now, plan["source"], seconds)
        try:
            return differences(shared.reading(share, read, as_planned, patience))
        except bounded.Hung as error:
            raise CannotTell(str(error)) from error
        except OSError:
            pass  # nothing can be shared there: on our own
    return differences(now(plan["source"], seconds))


def _links_unread(found: dict[str, Any]) -> bool:
    return any(problem["code"] == "no_links" for problem in found["problems"])


def _with_links(worker: dict[str, Any], found: dict[str, Any], by_bus: bool) -> dict[str, Any]:
    """The topology with links by the PCI bus where the driver does not tell them.

    What was not known when the host was planned is no change of the hardware once the driver tells
    it: a link of a group by hand that nothing told; and, where links came from the bus (by_bus), an
    NVLink that the bus does not show. There the bus is compared with the bus.
    """
    there = found["gpus"]
    topology = {**found, "links": [list(row) for row in found["links"]], "problems": []}
    pcie.complete(topology, ROOT)
    bus = pcie.links(there, ROOT)
    place = {gpu["uuid"]: at for at, gpu in enumerate(there)}
    places = [place.get(gpu["uuid"]) for gpu in worker["gpus"]]
    for one, row in zip(places, worker["links"]):
        for other, planned in zip(places, row):
            if one is None or other is None:
                continue
            if planned == NONE:
                topology["links"][one][other] = NONE
            elif by_bus and not nvlinks(planned):
                topology["links"][one][other] = bus[one][other]
    return topology


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
    parser.add_argument("--share", type=Path, help="directory shared by the guards of this host")
    parser.add_argument("--timeout", type=float, default=SECONDS, help="seconds for the driver")
    options = parser.parse_args(arguments)
    host = "HOST"
    try:
        plan = load(options.plan)
        host = plan["host"]
        told = compare(plan, options.worker, options.timeout, options.share)
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
