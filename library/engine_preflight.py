#!/usr/bin/python
"""Ansible module: whether a host can run the engine of a release set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_preflight
short_description: Refuse a host that cannot run the engine, before anything is changed
description:
  - Compares the GPU driver (its version, and the newest CUDA that it runs), the device nodes of
    the driver, the GPUs' compute capability, the Python and the C library of the host, and the
    size of C(/dev/shm), in which all memory tiers of the host lie, with what the release set and
    the service ask for.
  - Everything that is wrong is in one report. Every item says what was seen, what is wanted and
    what to do.
  - Where O(topology) is recorded, there is no driver to ask, and nothing is said of it.
attributes:
  check_mode:
    description: Does the same, as it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  host:
    description: Name of the host, for messages.
    type: str
    required: true
  topology:
    description: The value RV(topology) of the module M(gpu_topology).
    type: dict
    required: true
  cuda:
    description: Major version of the CUDA that the release set is built for.
    type: int
    required: true
  driver_min:
    description: Least version of the GPU driver, or the first part of it.
    type: str
    required: true
  pythons:
    description: Versions of Python (C(X.Y)) that the release set is locked for.
    type: list
    elements: str
    required: true
  glibc:
    description: Minor version of the least glibc 2 for the release set's wheels.
    type: int
    required: true
  workers:
    description: Number of workers that the host gets.
    type: int
    required: true
  cpu_cache_gib:
    description: Memory tier of one worker, in GiB.
    type: float
    default: 0
  timeout:
    description: Seconds that C(nvidia-smi) may take to answer.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Read the topology
  gpu_topology:
  register: facts

- name: Compare the host with the release set
  engine_preflight:
    host: "{{ inventory_hostname }}"
    topology: "{{ facts.topology }}"
    cuda: 13
    driver_min: "580"
    pythons: ["3.12", "3.13"]
    glibc: 39
    workers: 4
    cpu_cache_gib: 128
"""

RETURN = r"""
problems:
  description: What is wrong, each with C(what), C(seen), C(wanted) and C(mend).
  type: list
  elements: dict
  returned: always
shm_bytes:
  description: What the workers need in C(/dev/shm), in bytes.
  type: int
  returned: always
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.engine import host, preflight
from ansible.module_utils.dynfleet.engine.problem import report

ARGUMENTS: dict[str, dict[str, Any]] = {
    "host": {"type": "str", "required": True},
    "topology": {"type": "dict", "required": True},
    "cuda": {"type": "int", "required": True},
    "driver_min": {"type": "str", "required": True},
    "pythons": {"type": "list", "elements": "str", "required": True},
    "glibc": {"type": "int", "required": True},
    "workers": {"type": "int", "required": True},
    "cpu_cache_gib": {"type": "float", "default": 0},
    "timeout": {"type": "float", "default": 10},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params: dict[str, Any] = module.params
    topology = params["topology"]
    wanted = preflight.Wanted(
        cuda=params["cuda"],
        driver_min=params["driver_min"],
        pythons=params["pythons"],
        glibc=f"2.{params['glibc']}",
        workers=params["workers"],
        cpu_cache_gib=params["cpu_cache_gib"],
    )
    live = topology["source"] == "live"
    minors = [gpu["minor"] for gpu in topology["gpus"] if gpu["minor"] is not None] if live else []
    problems = preflight.check(wanted, host.read(minors, params["timeout"]), topology)
    result: dict[str, Any] = {
        "changed": False,
        "problems": [asdict(problem) for problem in problems],
        "shm_bytes": preflight.shm_bytes(wanted),
    }
    if problems:
        module.fail_json(msg=report(params["host"], problems, "nothing was changed"), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
