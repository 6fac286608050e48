#!/usr/bin/python
"""Ansible module: the lock of rolls in etcd, for the action roll_lock."""

from __future__ import annotations

DOCUMENTATION = r"""
module: roll_lock_key
short_description: Take, end and give back the lock of rolls, as a host that reaches etcd
description:
  - The host's part of the action M(roll_lock), which says who is running and who is alive; what
    the lock is and who may take it over is told there. Not to be used by itself.
attributes:
  check_mode:
    description: Says whether the lock could be taken; takes nothing.
    support: full
  diff_mode:
    description: The lock is not state of a host.
    support: none
options:
  state:
    description: Take the lock, say in it that its roll has failed, or give it back.
    type: str
    choices: [present, ended, absent]
    default: present
  etcd:
    description: Client URLs of etcd.
    type: list
    elements: str
    required: true
  what:
    description: What the roll wants, in words.
    type: str
    default: ""
  seconds:
    description: Seconds that the longest turn may take; after that an unrenewed lock is void.
    type: int
    default: 3600
  take:
    description: Take the lock though its holder may be alive.
    type: bool
    default: false
  run:
    description: Id of the run, for O(state=ended) and O(state=absent).
    type: str
    default: ""
  me:
    description: Who is running.
    type: dict
    default: {}
  why:
    description: Why the roll has ended, for O(state=ended). A reason that is there stays.
    type: str
    default: ""
  gone:
    description: Tokens of rolls that the controller knows to be dead.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Take the lock of rolls
  roll_lock:
    etcd: ["http://10.0.0.5:2379"]
    what: restart what differs
"""

RETURN = r"""
run:
  description: Id of the run that now holds the lock.
  type: str
  returned: success
who:
  description: Who runs, as USER@CONTROLLER.
  type: str
  returned: success
resumed:
  description: Whether a run that had ended is gone on with.
  type: bool
  returned: success
replaced:
  description: Token of the dead roll whose lock was taken over, if it was one.
  type: list
  elements: str
  returned: when taken
holder:
  description: Who holds the lock, where it was refused.
  type: dict
  returned: failure
"""

import json
import secrets
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import lock
from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError


def take(module: AnsibleModule, etcd: Etcd) -> dict[str, Any]:
    """Take the lock; ends the module where somebody else has it."""
    params: dict[str, Any] = module.params
    me: dict[str, Any] = params["me"]
    item = etcd.get(lock.KEY)
    holder = lock.read(item)
    resumed = False
    if holder is not None:
        if not (params["take"] or lock.dead(holder, params["gone"])):
            module.fail_json(
                msg=f"another roll is running: {lock.told(holder)}, to {holder.get('what')}. Wait "
                f"for it.{lock.doubt(holder, me)} If it is known to be dead, set "
                "roll_take_lock: true",
                holder=holder,
            )
        resumed = lock.resumes(holder, params["what"])
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    run = str(holder["run"]) if holder and resumed else f"{stamp}-{secrets.token_hex(3)}"
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    replaced = [holder["token"]] if holder and holder.get("token") in params["gone"] else []
    result = {"changed": False, "run": run, "who": me["who"], "resumed": resumed}
    result["replaced"] = replaced
    if module.check_mode:
        return result
    value = json.dumps({"run": run, **me, "since": since, "what": params["what"], "ended": ""})
    lease = etcd.grant(params["seconds"])
    if not etcd.replace(lock.KEY, value, item.revision if item else 0, lease):
        winner = lock.read(etcd.get(lock.KEY)) or {}
        # A member that took it and fell silent was asked again as the next one.
        if winner.get("token") != me["token"]:
            module.fail_json(
                msg="another roll took the lock at the same moment: "
                f"{lock.told(winner)}. Wait for it",
                holder=winner,
            )
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["present", "ended", "absent"],
                "default": "present",
            },
            "etcd": {"type": "list", "elements": "str", "required": True},
            "what": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 3600},
            "take": {"type": "bool", "default": False},
            "run": {"type": "str", "default": ""},
            "me": {"type": "dict", "default": {}},
            "why": {"type": "str", "default": ""},
            "gone": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    etcd = Etcd(params["etcd"])
    try:
        if params["state"] == "present":
            result = take(module, etcd)
        elif params["state"] == "ended":
            if not module.check_mode:
                lock.end(etcd, params["run"], params["why"])
            result = {"changed": False, "run": params["run"], "who": "", "resumed": False}
        else:
            item = etcd.get(lock.KEY)
            holder = lock.read(item)
            if item and holder and holder.get("run") == params["run"] and not module.check_mode:
                etcd.replace(lock.KEY, None, item.revision)
            result = {"changed": False, "run": params["run"], "who": "", "resumed": False}
    except EtcdError as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
