#!/usr/bin/python
"""Ansible module: what of ours runs on a host, since when, and who took what out of service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_status
short_description: Say what of ours runs on a host and whether it runs as wanted
description:
  - One call reads every unit of ours that is on the host, in which state it is and since when,
    the release and the fingerprint that its process runs with and the wanted one.
  - Of a worker also its GPUs, whether it is registered, what it has in flight, how much of its
    GPU cache is in use, and whether it is drained or cordoned, by whom, since when and why.
  - Reads only. A host on which nothing was deployed has no units, which is no failure.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  units:
    description: Units expected on this host, besides the workers of the plan.
    type: list
    elements: str
    default: []
  plan:
    description: Path of the plan of this host's workers. Without it the host has no workers.
    type: path
  address:
    description: Address that the workers' listeners are bound to.
    type: str
    default: ""
  namespace:
    description: Namespace of the service in discovery.
    type: str
    required: true
  etcd:
    description: Client URLs of etcd.
    type: list
    elements: str
    required: true
  frontend:
    description: Base URL of the frontend on this host. Without it the host has none.
    type: str
"""

EXAMPLES = r"""
- name: Look at the workers of this host
  unit_status:
    plan: /etc/dynamo/plan.json
    address: 10.0.0.6
    namespace: dynamo
    etcd: ["http://10.0.0.5:2379"]
  register: seen
"""

RETURN = r"""
units:
  description: Every unit of ours.
  type: list
  elements: dict
  returned: always
  contains:
    name: {description: Unit name., type: str}
    index: {description: Index of a worker., type: int}
    state: {description: ActiveState and SubState., type: str}
    active: {description: Whether it is active., type: bool}
    since: {description: Since when it is active; empty where it is not., type: str}
    pid: {description: Main process; 0 without one., type: int}
    invocation: {description: Id of this start of the unit., type: str}
    restarts: {description: Restarts by systemd since the last start by hand., type: int}
    flapping: {description: How often systemd restarted it lately; may be empty., type: str}
    have: {description: Fingerprint of the process., type: str}
    want: {description: Wanted fingerprint., type: str}
    differs: {description: Whether it does not run, or not with what is wanted., type: bool}
    release: {description: Release that the process runs from., type: str}
    rolled: {description: The unit's last roll., type: dict}
    gpus: {description: GPUs of a worker by the plan (index and uuid)., type: list}
    held: {description: UUIDs that a worker's process was started with., type: list}
    wanted: {description: UUIDs that it will be started with., type: list}
    ready: {description: Whether a worker is active and says that it is ready., type: bool}
    registered: {description: Whether a worker is in discovery., type: bool}
    in_flight: {description: Requests that a worker works on; null where it is silent., type: int}
    cache_in_use: {description: "Share of its GPU cache that running requests hold.", type: float}
    drained: {description: The mark of the operator who drained it., type: dict}
    cordoned: {description: Who took it out of routing., type: dict}
routed:
  description: Instance ids of the workers that this host's frontend sends requests to; null where
    there is no frontend, or it does not answer.
  type: list
  elements: int
  returned: always
releases:
  description: Ids of the releases that current, good and previous are; empty where there is none.
  type: dict
  returned: always
trouble:
  description: What could not be read, for example a missing plan.
  type: list
  elements: str
  returned: always
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import files, flapping, units
from ansible.module_utils.dynfleet.day2 import discovery, marks
from ansible.module_utils.dynfleet.day2.workers import (
    PAGE_SECONDS,
    PlanError,
    Unit,
    Worker,
    look_at,
    read_plan,
    row,
)
from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError, Item
from ansible.module_utils.dynfleet.release import links
from ansible.module_utils.dynfleet.verify import client, metrics

PUBLIC = ("by", "who", "since", "why", "run")


def public(mark: dict[str, Any] | None) -> dict[str, Any] | None:
    """A mark without the keys that a cordon holds."""
    return None if mark is None else {key: mark.get(key) for key in PUBLIC}


def describe(unit: Unit) -> dict[str, Any]:
    """What systemd and the process say of any unit."""
    state = unit.state
    return {
        "name": unit.name,
        "index": None,
        "state": f"{state.get('ActiveState', 'unknown')} ({state.get('SubState', '')})",
        "active": unit.active,
        "since": state.get("ActiveEnterTimestamp", "") if unit.active else "",
        "pid": int(state.get("MainPID") or 0),
        "invocation": unit.invocation,
        "restarts": int(state.get("NRestarts") or 0),
        "flapping": flapping.read(unit.name, state),
        "have": unit.have,
        "want": unit.want,
        "differs": unit.differs,
        "release": unit.release,
        "rolled": marks.read(marks.rolled(unit.name)),
    }


def describe_worker(worker: Worker, gpus: list[Any], found: list[Item]) -> dict[str, Any]:
    """A worker: its unit, its own figures, the marks on it."""
    wanted = units.from_file(files.read(f"/etc/dynamo/worker-{worker.index}.env") or b"")
    return {
        **describe(worker),
        "index": worker.index,
        "gpus": [{"index": gpu["index"], "uuid": gpu["uuid"]} for gpu in gpus],
        "held": units.listed(worker.environ, "CUDA_VISIBLE_DEVICES"),
        "wanted": units.listed(wanted, "CUDA_VISIBLE_DEVICES"),
        **row(worker),
        "registered": bool(discovery.at(found, worker.place)),
        "drained": public(worker.drained),
        "cordoned": public(worker.cordoned),
    }


def routed(frontend: str | None) -> list[int] | None:
    """Instances that a frontend's router has; None where it does not say."""
    if frontend is None:
        return None
    page = client.ask(f"{frontend}/metrics", PAGE_SECONDS)
    return metrics.registered(page.body) if page.status == 200 else None


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "default": []},
            "plan": {"type": "path"},
            "address": {"type": "str", "default": ""},
            "namespace": {"type": "str", "required": True},
            "etcd": {"type": "list", "elements": "str", "required": True},
            "frontend": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    trouble: list[str] = []
    planned: list[dict[str, Any]] = []
    if params["plan"]:
        try:
            planned = read_plan(params["plan"])["workers"]
        except PlanError as error:
            trouble.append(str(error))
    units = [Unit(name) for name in params["units"]]
    workers = [Worker(entry, params["address"]) for entry in planned]
    look_at([*units, *workers])
    found: list[Item] = []
    try:
        found = discovery.serving(Etcd(params["etcd"]), params["namespace"])
    except EtcdError as error:
        trouble.append(str(error))

    def look(number: int) -> dict[str, Any]:
        return describe_worker(workers[number], planned[number]["gpus"], found)

    with ThreadPoolExecutor(max_workers=8) as pool:
        rows = list(pool.map(look, range(len(workers))))
    module.exit_json(
        changed=False,
        units=[describe(unit) for unit in units if unit.state.get("LoadState") == "loaded"] + rows,
        routed=routed(params["frontend"]),
        releases=links.read(),
        trouble=trouble,
    )


if __name__ == "__main__":
    main()
