#!/usr/bin/python
"""Ansible module: whether NIXL works on a host, and by which transports."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nixl_probe
short_description: Transfer between two NIXL agents and read which transport UCX chose
description:
  - Loads the NIXL of the release, finds its UCX plugin, and writes a megabyte of host memory from
    one process to another, as the service user in the sandbox of a worker, with the UCX environment
    that the placement plan gives it.
  - Once as workers of one host would, and once for each set of network devices in the plan
    without shared memory, which is how workers of two hosts would.
  - Keeps what it found in O(stamp), by release and devices, and does not try again what did well.
attributes:
  check_mode:
    description: Tries nothing and writes nothing.
    support: full
  diff_mode:
    description: Shows the file that it keeps.
    support: full
options:
  host:
    description: Name of the host, for messages.
    type: str
    required: true
  release:
    description: Directory of the release's worker part.
    type: path
    required: true
  cuda:
    description: Major version of the release's CUDA.
    type: int
    required: true
  workers:
    description: The workers of the plan; their C(net_devices) are used.
    type: list
    elements: dict
    required: true
  sandbox:
    description: The sandbox of a worker, as directives of a unit.
    type: str
    default: ""
  stamp:
    description: File to keep the result in.
    type: path
    default: /etc/dynamo/nixl.json
  timeout:
    description: Seconds that one transfer may take.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Try NIXL
  nixl_probe:
    host: "{{ inventory_hostname }}"
    release: /opt/dynamo/releases/dynamo-1.4.2-vllm-0123456789/worker
    cuda: 13
    workers: "{{ placement_plan.workers }}"
"""

RETURN = r"""
summary:
  description: The transports, in one sentence.
  type: str
  returned: success
transports:
  description: C(inside) the host, and C(between) hosts by network devices, each a list of
    C(transport), C(device) and C(share) (percent).
  type: dict
  returned: success
tried:
  description: Whether it was tried in this run.
  type: bool
  returned: always
problems:
  description: What is wrong, each with C(what), C(seen), C(wanted) and C(mend).
  type: list
  elements: dict
  returned: always
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import files, sandboxed
from ansible.module_utils.dynfleet.engine import agents, ucx
from ansible.module_utils.dynfleet.engine.problem import Problem, report

# Shared memory and a process with itself, as UCX calls them: there is neither between hosts.
BETWEEN_HOSTS = {"UCX_TLS": "^sm,self"}


def attempt(
    params: dict[str, Any], devices: Sequence[str], more: dict[str, str]
) -> tuple[dict[str, Any], str]:
    """One transfer: what it printed, and what UCX said. Raises SandboxError."""
    environment = {"UCX_PROTO_INFO": "y", "UCX_LOG_LEVEL": "warn", **more}
    if devices:
        environment["UCX_NET_DEVICES"] = ",".join(devices)
    done = sandboxed.run(
        agents,
        [str(params["cuda"])],
        python=f"{params['release']}/bin/python",
        sandbox=params["sandbox"],
        environment=environment,
        seconds=params["timeout"],
    )
    return json.loads(done.stdout), done.stderr


def probe(params: dict[str, Any], sets: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Every transfer, to the first that fails. Raises SandboxError, ValueError."""
    problems: list[Problem] = []
    between: dict[str, list[ucx.Lane]] = {}
    for devices in sets:
        seen, text = attempt(params, devices, BETWEEN_HOSTS)
        problems += ucx.judge(devices, seen, text)
        between[",".join(devices)] = ucx.lanes(text)
    inside: list[ucx.Lane] = []
    if not problems:
        seen, text = attempt(params, sets[0], {})
        problems += ucx.judge([], seen, text)
        inside = ucx.lanes(text)
    every = list(dict.fromkeys(lane for found in between.values() for lane in found))
    return {
        "summary": ucx.sentence(inside, every),
        "transports": {
            "inside": [lane._asdict() for lane in inside],
            "between": {
                name: [lane._asdict() for lane in found] for name, found in between.items()
            },
        },
        "problems": [asdict(problem) for problem in problems],
    }


def kept(path: str, key: dict[str, Any]) -> dict[str, Any] | None:
    """The result of an earlier run for the same release and devices."""
    try:
        found: dict[str, Any] = json.loads(files.read(path) or b"")
    except ValueError:
        return None
    return found if found.get("of") == key else None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "release": {"type": "path", "required": True},
            "cuda": {"type": "int", "required": True},
            "workers": {"type": "list", "elements": "dict", "required": True},
            "sandbox": {"type": "str", "default": ""},
            "stamp": {"type": "path", "default": "/etc/dynamo/nixl.json"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    sets = sorted({tuple(worker.get("net_devices") or ()) for worker in params["workers"]}) or [()]
    key = {
        "release": params["release"],
        "cuda": params["cuda"],
        "net_devices": [list(devices) for devices in sets],
    }
    before = kept(params["stamp"], key)
    if before is not None:
        module.exit_json(changed=False, tried=False, problems=[], **before["found"])
    if module.check_mode:
        module.exit_json(changed=True, tried=False, problems=[], summary="", transports={})
    try:
        found = probe(params, sets)
    except (sandboxed.SandboxError, ValueError) as error:
        module.fail_json(msg=f"{params['host']}: NIXL could not be tried: {error}", tried=True)
    problems = [Problem(**problem) for problem in found.pop("problems")]
    if problems:
        module.fail_json(
            msg=report(params["host"], problems, "no worker was touched"),
            problems=[asdict(problem) for problem in problems],
            tried=True,
        )
    item = {
        "path": params["stamp"],
        "content": json.dumps({"of": key, "found": found}, indent=2) + "\n",
        "owner": "root",
        "group": "root",
        "mode": "0644",
        "secret": False,
    }
    old = files.read(params["stamp"])
    files.write(item)
    module.exit_json(
        changed=True, tried=True, problems=[], diff=[files.diff_entry(item, old)], **found
    )


if __name__ == "__main__":
    main()
