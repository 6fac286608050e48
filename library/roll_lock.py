#!/usr/bin/python
"""Documentation of the action roll_lock: the controller's part of the lock, and the host's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: roll_lock
short_description: Take and give back the lock that makes rolls one at a time
description:
  - The lock is a key in etcd that says who rolls (user, controller and process), since when, what
    is wanted, and how it ended. It hangs on a lease of O(seconds), renewed before each worker by
    M(worker_service).
  - The controller says who is running and which rolls it knows to be dead; M(roll_lock_key) does
    the rest on a host that reaches etcd.
  - A lock whose roll has failed, or whose process was started by this user on this controller
    since its last boot and has ended, is taken over, and any other one with O(take=true). A
    controller is told by the note that it keeps of each roll, in C(dynfleet/rolls) in Ansible's
    home directory, never by its name.
  - A run that wants the same goes on under the id of the one that ended, so that nothing is
    restarted twice.
attributes:
  check_mode:
    description: Says whether the lock could be taken; takes nothing.
    support: full
  diff_mode:
    description: The lock is not state of a host.
    support: none
options:
  state:
    description: Take the lock, or give it back.
    type: str
    choices: [present, absent]
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
    description: Id of the run, for O(state=absent).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Take the lock of rolls
  roll_lock:
    etcd: ["http://10.0.0.5:2379"]
    what: restart what differs
    seconds: 900
  register: locked
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
holder:
  description: Who holds the lock, where it was refused.
  type: dict
  returned: failure
"""
