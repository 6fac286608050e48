#!/usr/bin/python
"""Ansible module: take workers of a host out of service and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_service
short_description: Drain workers, put them back, or restart them without losing a request
description:
  - Runs on the workers' host. It takes a worker out of routing by its key in discovery, sees at
    every frontend that nothing new is sent to it, and waits until nothing is in flight; what is
    left after O(drain_seconds) is carried by request migration when the worker stops.
  - With O(state=restarted) the unit is then stopped, GPU memory and shared memory are seen free,
    it is started, and has to be ready, registered at every frontend, and to serve one real
    completion. One that fails there is taken out of routing again.
  - With O(state=drained) it goes on running with its cache, and a mark in
    C(/etc/dynamo/drained) keeps its unit from being started again, also at boot and by
    M(unit_set), until O(state=serving) by an operator removes it.
  - What is, is looked at first; a run that died at any point is completed by the next one. One
    such module at a time works on a host; another one waits for it.
attributes:
  check_mode:
    description: Says what would be done to each worker.
    support: full
  diff_mode:
    description: Shows the actions.
    support: full
options:
  state:
    description: What the workers shall be.
    type: str
    choices: [drained, serving, restarted]
    required: true
  workers:
    description: Indices of workers that are taken together; normally one.
    type: list
    elements: int
    required: true
  plan:
    description: Path of the plan of this host's workers.
    type: path
    default: /etc/dynamo/plan.json
  address:
    description: Address that the workers' listeners are bound to.
    type: str
    required: true
  namespace:
    description: Namespace of the service in discovery.
    type: str
    required: true
  etcd:
    description: Client URLs of etcd.
    type: list
    elements: str
    required: true
  frontends:
    description: Base URLs of all frontends.
    type: list
    elements: str
    required: true
  model:
    description: Name that clients ask the model by.
    type: str
    required: true
  by:
    description: Whether an operator asks, or a roll. A roll leaves alone what an operator drained.
    type: str
    choices: [operator, roll]
    required: true
  who:
    description: Who asks, for marks.
    type: str
    required: true
  why:
    description: Why, for marks.
    type: str
    default: ""
  run:
    description: Id of the roll that this is a part of. It has to hold the lock in etcd.
    type: str
  force:
    description: Restart also workers that run as wanted, once in a run.
    type: bool
    default: false
  floor:
    description: So many other workers have to be in service before one is restarted.
    type: int
    default: 0
  drain_seconds:
    description: Seconds that requests in flight are waited for.
    type: int
    default: 300
  stop_seconds:
    description: Seconds that stopping may take.
    type: int
    default: 240
  start_seconds:
    description: Seconds that starting may take, loading the model included.
    type: int
    default: 1860
  gate_seconds:
    description: Seconds from active to in service.
    type: int
    default: 60
  budget:
    description: >-
      The roll's error budget: C(before), rates from before the roll; C(counters), by frontend,
      from its begin; C(limits). Beyond it the module fails after the worker is back.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Take worker 2 out of service for good
  worker_service:
    state: drained
    workers: [2]
    address: 10.0.0.6
    namespace: dynamo
    etcd: ["http://10.0.0.5:2379"]
    frontends: ["http://10.0.0.5:8000"]
    model: Llama-3.1-70B
    by: operator
    who: anna@deploy1
    why: row remapping pending on GPU 5
"""

RETURN = r"""
workers:
  description: What was done with each worker.
  type: list
  elements: dict
  returned: always
  contains:
    unit: {description: Unit name., type: str}
    action:
      description: >-
        none, drained, uncordoned, waited for, started, restarted or left drained; in check mode
        drain, uncordon, wait, start, restart or leave drained.
      type: str
    instance: {description: Its id in discovery., type: int}
    in_flight: {description: Requests that were left to migration., type: int}
    seconds:
      description: By step (cordon, drain, stop, free, start, gate), and out of service (out).
      type: dict
    notes: {description: What else was seen., type: list, elements: str}
    safe_to_stop: {description: Whether it is out of routing with nothing in flight., type: bool}
mention:
  description: Words by which the frontends' logs name the worker that failed.
  type: list
  elements: str
  returned: failure
seconds:
  description: Seconds until it failed.
  type: float
  returned: failure
during:
  description: Rates of the frontends since the roll began, with O(budget).
  type: dict
  returned: with O(budget)
late:
  description: >-
    Counters of frontends that are not in those of O(budget), from before this turn: a later turn
    counts them from there.
  type: dict
  returned: with O(budget)
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import figures, lock, marks, unforeseen
from ansible.module_utils.dynfleet.day2.report import Failed
from ansible.module_utils.dynfleet.day2.turn import Turn
from ansible.module_utils.dynfleet.day2.workers import PlanError, Worker, read_plan
from ansible.module_utils.dynfleet.etcd import EtcdError
from ansible.module_utils.dynfleet.lock import LockError, locked

CHANGING = ("drain", "uncordon", "start", "restart")


def late_frontends(params: dict[str, Any]) -> dict[str, figures.Counters]:
    """Counters of the frontends that did not answer when the roll began, and do now."""
    known = params["budget"].get("counters", {})
    lacking = [url for url in params["frontends"] if url not in known]
    return figures.look(lacking) if params["budget"] and lacking else {}


def within_budget(params: dict[str, Any], late: dict[str, figures.Counters]) -> dict[str, Any]:
    """Rates since the roll began. Raises Failed beyond the error budget."""
    budget = params["budget"]
    now = figures.look(params["frontends"])
    counted = figures.between({**late, **budget["counters"]}, now)
    over = figures.over_budget(budget["before"], counted, budget["limits"])
    if over:
        raise Failed(f"the error budget of the roll is spent: {'; '.join(over)}")
    return {**figures.rates(counted), "requests": int(counted["requests"])}


def run(module: AnsibleModule) -> dict[str, Any]:
    """The module's result. Raises Failed, EtcdError, LockError, lock.Stopped and PlanError."""
    params: dict[str, Any] = module.params
    late = {} if module.check_mode else late_frontends(params)
    plan = read_plan(params["plan"])
    planned = {int(entry["index"]): entry for entry in plan["workers"]}
    unknown = [index for index in params["workers"] if index not in planned]
    if unknown:
        raise Failed(f"no worker {unknown} in {params['plan']}; it has {sorted(planned)}")
    workers = [Worker(planned[index], params["address"]) for index in params["workers"]]
    turn = Turn(params, plan["source"], workers)
    if module.check_mode:
        for index, action in turn.plan().items():
            turn.reports[index].action = action
        changed = any(report.action in CHANGING for report in turn.reports.values())
    else:
        # A module that outlived its controller is waited for.
        with locked(Path(marks.LOCK), params["stop_seconds"] + params["start_seconds"]):
            turn.run()
        idle = ("none", "left drained", "waited for")
        changed = any(report.action not in idle for report in turn.reports.values())
    rows = [dataclasses.asdict(report) for report in turn.reports.values()]
    lines = "".join(f"{row['action']} {row['unit']}\n" for row in rows if row["action"] != "none")
    result: dict[str, Any] = {"changed": changed, "workers": rows}
    if changed:
        result["diff"] = {"prepared": lines}
    if params["budget"] and not module.check_mode:
        result.update(during=within_budget(params, late), late=late)
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["drained", "serving", "restarted"],
                "required": True,
            },
            "workers": {"type": "list", "elements": "int", "required": True},
            "plan": {"type": "path", "default": "/etc/dynamo/plan.json"},
            "address": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "etcd": {"type": "list", "elements": "str", "required": True},
            "frontends": {"type": "list", "elements": "str", "required": True},
            "model": {"type": "str", "required": True},
            "by": {"type": "str", "choices": ["operator", "roll"], "required": True},
            "who": {"type": "str", "required": True},
            "why": {"type": "str", "default": ""},
            "run": {"type": "str"},
            "force": {"type": "bool", "default": False},
            "floor": {"type": "int", "default": 0},
            "drain_seconds": {"type": "int", "default": 300},
            "stop_seconds": {"type": "int", "default": 240},
            "start_seconds": {"type": "int", "default": 1860},
            "gate_seconds": {"type": "int", "default": 60},
            "budget": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    roll = None if module.check_mode else params["run"]
    try:
        with lock.ended_by_failure(params["etcd"], roll, params["address"]):
            result = run(module)
    except (Failed, EtcdError, LockError, lock.Stopped, PlanError) as error:
        module.fail_json(
            msg=str(error),
            mention=error.mention if isinstance(error, Failed) else [],
            seconds=round(time.monotonic() - started, 2),
        )
    except Exception as error:
        indices = ", ".join(map(str, params["workers"]))
        told = unforeseen.told(error, f"The turn of worker {indices}")
        module.fail_json(msg=told, seconds=round(time.monotonic() - started, 2))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
