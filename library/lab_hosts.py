#!/usr/bin/python
"""Ansible module: systemd hosts on this machine, with their bridge."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_hosts
short_description: Boot, repair, power off and remove the systemd hosts of a lab
description:
  - A lab is one to sixteen hosts made by systemd-nspawn on a bridge with address translation. Each
    has systemd as its first process, a writable layer over a cached root (module M(lab_root)), a
    static address and sshd. It runs on the machine itself, as root.
  - What is there is compared with what is wanted, and only the difference is made. A host that
    died is booted with its disk kept; one whose suite changed is made anew; one whose files
    changed gets these files.
  - A host's process is known by its exact command line, so that no stale pid file can mislead.
attributes:
  check_mode:
    description: Says in RV(actions) what would be done; touches nothing.
    support: full
  diff_mode:
    description: There is nothing to show but RV(actions).
    support: none
options:
  lab_dir:
    description: Directory of the lab's state. It is removed with the lab.
    type: path
    required: true
  state:
    description:
      - V(present) makes the lab be exactly O(hosts), all running.
      - V(stopped) powers hosts off hard and keeps their disks.
      - V(restarted) does the same and boots them again as they were.
      - V(absent) removes the whole lab.
      - V(valid) only checks the parameters, all that can be known before anything is built.
    type: str
    choices: [present, stopped, restarted, absent, valid]
    default: present
  names:
    description: Hosts to stop or restart; empty means all. Only with V(stopped) and V(restarted).
    type: list
    elements: str
    default: []
  bridge:
    description: Name of the bridge, and so of the lab. Required with V(present) and V(valid).
    type: str
  subnet:
    description: Private network of the lab; its first address is the machine's own. Required with
      V(present) and V(valid).
    type: str
  internet:
    description: Whether the hosts have a way out. Without, they reach each other and nothing else,
      not even the machine, which reaches them.
    type: bool
    default: true
  cache_dir:
    description: Directory of the cache (roots and downloaded packages). Required with V(present)
      and V(valid).
    type: path
  roots:
    description: Root directory of each suite, from M(lab_root). Required with V(present).
    type: dict
  hosts:
    description: The wanted hosts. Required with V(present) and V(valid).
    type: list
    elements: dict
    suboptions:
      name:
        description: Host name.
        type: str
        required: true
      address:
        description: IPv4 address in O(subnet).
        type: str
        required: true
      suite:
        description: Debian suite, V(bookworm) or V(trixie).
        type: str
        required: true
      topology:
        description: File of this machine that the host gets as C(/etc/lab/gpu_topology).
        type: path
      binds:
        description: Files or directories of this machine that the host sees.
        type: list
        elements: dict
        suboptions:
          path:
            description: Absolute path inside the host.
            type: str
            required: true
          source:
            description: Absolute path on this machine.
            type: str
            required: true
          read_only:
            description: Whether the host may only read it.
            type: bool
            default: false
  timeout:
    description: Seconds that a host may take until ssh answers.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Boot two hosts
  lab_hosts:
    lab_dir: /var/lib/dynamo-lab
    cache_dir: /var/cache/dynamo-lab
    bridge: dynlab0
    subnet: 10.77.0.0/24
    roots: "{{ lab_root_result.roots }}"
    hosts:
      - {name: control, address: 10.77.0.11, suite: bookworm}
      - name: gpu1
        address: 10.77.0.12
        suite: trixie
        topology: "{{ playbook_dir }}/../inventory/lab/topologies/hgx-h200-8.json"

- name: Pull the plug of one host
  lab_hosts:
    lab_dir: /var/lib/dynamo-lab
    names: [gpu1]
    state: stopped

- name: Remove the lab
  lab_hosts:
    lab_dir: /var/lib/dynamo-lab
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be, in words; by host, the lab's own under V(lab).
  type: dict
  returned: always
  sample: {gpu1: [boot]}
seconds:
  description: Seconds from the start until the last host answered.
  type: float
  returned: always
"""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import lab_spec
from ansible.module_utils.dynfleet.lab_fleet import Actions, Fleet
from ansible.module_utils.dynfleet.lab_machine import LabError, lock_directory

BIND_OPTIONS: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "source": {"type": "str", "required": True},
    "read_only": {"type": "bool", "default": False},
}
HOST_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "suite": {"type": "str", "required": True},
    "topology": {"type": "path"},
    "binds": {"type": "list", "elements": "dict", "options": BIND_OPTIONS},
}


def recorded(params: dict[str, Any]) -> Fleet:
    """The lab that is there."""
    spec = lab_spec.recorded(params["lab_dir"])
    if spec is None:
        raise LabError(f"there is no lab in {params['lab_dir']}; playbooks/lab_up.yml makes it")
    return Fleet(spec, params["timeout"])


def check(params: dict[str, Any]) -> Actions:
    """What would be done."""
    if params["state"] == "absent":
        spec = lab_spec.remaining(params)
        return Fleet(spec, params["timeout"]).remains() if spec else {}
    if params["state"] == "present":
        spec = lab_spec.wanted(params)
        if lab_spec.recorded(params["lab_dir"]):
            return Fleet(spec, params["timeout"]).differences()
        # The machine may not even have the commands to look further.
        return {"lab": ["make"], **{host.name: ["boot"] for host in spec.hosts}}
    fleet = recorded(params)
    return {host.name: [params["state"]] for host in fleet.spec.chosen(params["names"])}


def apply(params: dict[str, Any]) -> Actions:
    """Bring the lab to the state, alone."""
    if params["state"] == "absent":
        spec = lab_spec.remaining(params)
        if spec is None or not Fleet(spec, params["timeout"]).remains():
            return {}
    lock = lock_directory(Path(params["lab_dir"]))
    try:
        if params["state"] == "absent" and spec:
            return Fleet(spec, params["timeout"]).down()
        if params["state"] == "present":
            return Fleet(lab_spec.wanted(params), params["timeout"]).up()
        fleet = recorded(params)
        hosts = fleet.spec.chosen(params["names"])
        return fleet.stop(hosts) if params["state"] == "stopped" else fleet.restart(hosts)
    finally:
        os.close(lock)


def main() -> None:
    """Entry point."""
    begin = time.monotonic()
    module = AnsibleModule(
        argument_spec={
            "lab_dir": {"type": "path", "required": True},
            "state": {
                "type": "str",
                "choices": ["present", "stopped", "restarted", "absent", "valid"],
                "default": "present",
            },
            "names": {"type": "list", "elements": "str", "default": []},
            "bridge": {"type": "str"},
            "subnet": {"type": "str"},
            "internet": {"type": "bool", "default": True},
            "cache_dir": {"type": "path"},
            "roots": {"type": "dict"},
            "hosts": {"type": "list", "elements": "dict", "options": HOST_OPTIONS},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[
            ("state", "present", ("bridge", "subnet", "cache_dir", "roots", "hosts")),
            ("state", "valid", ("bridge", "subnet", "cache_dir", "hosts")),
        ],
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(
            msg=f"the lab needs root, for mounts, a bridge and containers; this is uid "
            f"{os.geteuid()}. Run it as root, for example with sudo --preserve-env"
        )
    # What is written into a host is read by its users.
    os.umask(0o022)
    try:
        if module.params["state"] == "valid":
            actions: Actions = {}
            Fleet(lab_spec.wanted(module.params), module.params["timeout"]).check()
        else:
            actions = check(module.params) if module.check_mode else apply(module.params)
    except (LabError, subprocess.TimeoutExpired, TimeoutError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=any(actions.values()),
        actions=actions,
        seconds=round(time.monotonic() - begin, 2),
    )


if __name__ == "__main__":
    main()
