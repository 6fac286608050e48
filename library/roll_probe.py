#!/usr/bin/python
"""Ansible module: ask the service from outside for as long as a roll goes on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: roll_probe
short_description: Ask the service again and again while a roll goes on, and count what failed
description:
  - Runs on one host, with C(async), from before the first restart. What a frontend does not count
    itself is counted here - refused connections, and answers while its router has no model.
  - Looks at every frontend four times a second, and sends as many requests as a load balancer
    would send them. Of these one in twenty is a completion of one token.
  - Ends when the lock of its roll is gone, has ended or is another run's, when etcd has been silent
    for three minutes, and after O(seconds).
attributes:
  check_mode:
    description: Not of use with C(async), and so not supported.
    support: none
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  frontends:
    description: Base URLs of all frontends.
    type: list
    elements: str
    required: true
  model:
    description: Name that clients ask the model by.
    type: str
    required: true
  etcd:
    description: Client URLs of etcd.
    type: list
    elements: str
    required: true
  run:
    description: Id of the roll.
    type: str
    required: true
  seconds:
    description: Seconds to run at most.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Watch the service
  roll_probe:
    frontends: ["http://10.0.0.5:8000"]
    model: Llama-3.1-70B
    etcd: ["http://10.0.0.5:2379"]
    run: 20260105T100000Z-a1b2c3
    seconds: 86400
  async: 86460
  poll: 0
  register: probe
"""

RETURN = r"""
service:
  description: >-
    Requests to any frontend: asked, failures, kinds (count by kind - refused, timeout, an HTTP
    status, cut), longest_gap (seconds), outages (begin and end, in seconds since the epoch).
  type: dict
  returned: success
frontends:
  description: The same of the looks at each frontend, by URL.
  type: dict
  returned: success
own:
  description: Completions that were answered, which the frontends counted among their requests.
  type: int
  returned: success
ended:
  description: Why it ended.
  type: str
  returned: success
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import lock
from ansible.module_utils.dynfleet.day2.probe import Probe
from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError

SILENT_SECONDS = 180.0


class Watch:
    """Whether the roll goes on, by its lock."""

    def __init__(self, etcd: Etcd, run: str) -> None:
        self.etcd = etcd
        self.run = run
        self.token = ""
        self.heard = time.monotonic()

    def ended(self) -> str:
        """Why the roll does not go on; empty while it does."""
        try:
            holder = lock.read(self.etcd.get(lock.KEY))
        except EtcdError as error:
            # A member restarts in a roll.
            return str(error) if time.monotonic() - self.heard > SILENT_SECONDS else ""
        self.heard = time.monotonic()
        if holder is None:
            return "the lock was given back"
        # A run that is gone on with has the same id, another token, and a probe of its own.
        self.token = self.token or str(holder.get("token"))
        if holder.get("run") != self.run or str(holder.get("token")) != self.token:
            return f"the lock is another's: {lock.told(holder)}"
        return f"the roll has ended: {holder['ended']}" if holder.get("ended") else ""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "frontends": {"type": "list", "elements": "str", "required": True},
            "model": {"type": "str", "required": True},
            "etcd": {"type": "list", "elements": "str", "required": True},
            "run": {"type": "str", "required": True},
            "seconds": {"type": "int", "required": True},
        },
    )
    params: dict[str, Any] = module.params
    probe = Probe(params["frontends"], params["model"])
    ended = probe.run(Watch(Etcd(params["etcd"]), params["run"]).ended, params["seconds"])
    module.exit_json(changed=False, ended=ended, **probe.report())


if __name__ == "__main__":
    main()
