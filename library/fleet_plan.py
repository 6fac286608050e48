#!/usr/bin/python
"""Ansible module: decide what of a fleet is restarted or drained, and in which order."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_plan
short_description: Decide what is restarted or drained, in which order, or say why nothing is
description:
  - Runs on the controller, on what M(unit_status) said of every host; touches nothing.
  - Counts the whole fleet, whichever part of it is in this run.
  - Refuses an unknown host or worker, a fleet that is degraded already, more workers out of
    service than may be, a quorum or the last frontend that would be lost, and what would
    interrupt the service; all reasons at once, each with the name of its override. The restart of
    a group's only member is announced, also as a warning.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  verb:
    description: What is wanted.
    type: str
    choices: [restart, drain, undrain]
    required: true
  hosts:
    description: >-
      By host, C(groups) of the inventory, C(status), the result of M(unit_status), and
      C(pending), units of which is known that they have to be restarted; the hosts in this run.
    type: dict
    required: true
  absent:
    description: By name, the address of each worker host that is not in this run.
    type: dict
    default: {}
  service:
    description: The result of M(service_status).
    type: dict
    default: {}
  first_port:
    description: Request port of a host's first worker; its others have the next ones.
    type: int
    default: 0
  frontend_drain:
    description: Seconds that a stopping frontend waits for its streams, for an announcement.
    type: int
    default: 0
  target:
    description: Workers by name; with O(verb=restart) only these, without one all that differ.
    type: str
    default: ""
  force:
    description: Restart also what runs as wanted.
    type: bool
    default: false
  batch:
    description: Hosts at a time, as Ansible's serial.
    type: list
    elements: str
    default: ["1"]
  max_out:
    description: Workers that may be out of service at once, a number or a percentage.
    type: str
    default: "1"
  allow_degraded:
    description: Roll though workers are out of service that nobody drained.
    type: bool
    default: false
  allow_outage:
    description: Go on though no worker would be left in service.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Decide what is restarted
  fleet_plan:
    verb: restart
    hosts: "{{ seen }}"
    batch: ["1", "25%"]
    max_out: "25%"
  register: plan
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
singles:
  description: >-
    Hosts by group (etcd, nats, frontends) whose unit is restarted, in order; a leader is the last.
  type: dict
  returned: success
needed:
  description: By group, how many others have to serve at each of these restarts.
  type: dict
  returned: success
announced:
  description: Interruptions that the roll makes, in words.
  type: list
  elements: str
  returned: success
turns:
  description: By host, the turns of its workers in order, each with workers, why, force and floor.
  type: dict
  returned: success
order:
  description: Worker hosts in order.
  type: list
  elements: str
  returned: success
probe:
  description: >-
    The host from which the service is looked at meanwhile, one without a frontend where there is
    one; none where nothing is restarted.
  type: list
  elements: str
  returned: success
serial:
  description: Sizes of the batches of worker hosts.
  type: list
  elements: int
  returned: success
any:
  description: Whether there is anything to do.
  type: bool
  returned: success
what:
  description: The wish in words.
  type: str
  returned: success
lines:
  description: The plan for people.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import plan as planning
from ansible.module_utils.dynfleet.day2.fleet import Elsewhere


def lines(plan: planning.Plan) -> list[str]:
    """The plan for people."""
    told = list(plan.announced)
    told += [f"{group}: {', '.join(hosts)}" for group, hosts in plan.singles.items() if hosts]
    told += [
        f"{host}:{','.join(str(index) for index in turn['workers'])} {turn.get('why', '')}".strip()
        for host, turns in plan.turns.items()
        for turn in turns
    ]
    if plan.serial:
        told.append(f"hosts at a time: {', '.join(str(size) for size in plan.serial)}")
    return [*told, *plan.notes]


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "verb": {"type": "str", "choices": ["restart", "drain", "undrain"], "required": True},
            "hosts": {"type": "dict", "required": True},
            "absent": {"type": "dict", "default": {}},
            "service": {"type": "dict", "default": {}},
            "first_port": {"type": "int", "default": 0},
            "frontend_drain": {"type": "int", "default": 0},
            "target": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
            "batch": {"type": "list", "elements": "str", "default": ["1"]},
            "max_out": {"type": "str", "default": "1"},
            "allow_degraded": {"type": "bool", "default": False},
            "allow_outage": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    hosts = {
        name: {
            "groups": host["groups"],
            "pending": host.get("pending", []),
            "units": host["status"]["units"],
        }
        for name, host in params["hosts"].items()
    }
    wish = planning.Wish(
        named=params["target"],
        force=params["force"],
        batch=params["batch"],
        max_out=params["max_out"],
        allow_degraded=params["allow_degraded"],
        allow_outage=params["allow_outage"],
        frontend_drain=params["frontend_drain"],
    )
    service: dict[str, Any] = params["service"]
    elsewhere = Elsewhere(
        hosts=params["absent"],
        workers=service.get("workers"),
        first_port=params["first_port"],
        health=service.get("health", {}),
        leaders=service.get("leaders", {}),
    )
    try:
        if params["verb"] == "restart":
            plan = planning.make(hosts, wish, elsewhere)
        else:
            plan = planning.drain(
                hosts, wish.named, params["verb"] == "drain", wish.allow_outage, elsewhere
            )
    except ValueError as error:
        module.fail_json(msg=f"Nothing was touched.\nroll_batch or roll_max_out: {error}")
    if plan.problems:
        module.fail_json(msg="Nothing was touched.\n" + "\n".join(plan.problems))
    todo = bool(plan.turns or any(plan.singles.values()))
    # Of the whole fleet: with --tags worker a host of this run shows its workers only.
    outside = sorted(hosts, key=lambda name: name in elsewhere.health.get("frontends", {}))
    for text in plan.announced:
        module.warn(text)
    module.exit_json(
        changed=False,
        singles=plan.singles,
        needed=plan.needed,
        announced=plan.announced,
        turns=plan.turns,
        order=list(plan.turns),
        serial=plan.serial or [1],
        probe=outside[:1] if todo else [],
        any=todo,
        what=wish.what,
        lines=lines(plan),
    )


if __name__ == "__main__":
    main()
