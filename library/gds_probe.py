#!/usr/bin/python
"""Ansible module: which path data takes between SSD and GPU."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gds_probe
short_description: Find out which path GPUDirect Storage would take on a host, and why
description:
  - Reads what GPUDirect Storage rests on - the flavour of the NVIDIA kernel module, nvidia-fs or
    the kernel's PCI P2PDMA, the devices' permissions, file system, mount options and block device
    of each directory, IOMMU and ACS - and, where the tool is there, what C(gdscheck -p) says with
    O(cufile).
  - With O(activate=true) it loads nvidia-fs where the host has it and it is not loaded, and lets
    udev apply its rules to devices that are closed to the service's group; then it looks again.
  - Does not fail on a host without GDS. RV(path) and RV(reason) say what is, RV(problems) what
    keeps it from the direct path, with what to do.
attributes:
  check_mode:
    description: Looks, and says whether it would load or open something.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  directories:
    description: Directories of the SSD tier.
    type: list
    elements: path
    required: true
  topology:
    description: The value RV(topology) of the module M(gpu_topology).
    type: dict
    required: true
  route:
    description: How data is to go to the GPU.
    type: str
    choices: [nvidia-fs, p2pdma]
    default: nvidia-fs
  allow_compat:
    description: Whether data may go through the CPU where it cannot go to the GPU.
    type: bool
    default: false
  cufile:
    description: The cufile.json of the workers.
    type: path
    required: true
  gdscheck:
    description: The tool.
    type: path
    default: /usr/local/cuda/gds/tools/gdscheck
  activate:
    description: Load nvidia-fs and open its devices.
    type: bool
    default: false
  timeout:
    description: Seconds that gdscheck, and each command that changes something, may take.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Ask which path is in use
  gds_probe:
    directories: [/nvme0/flexkv/0]
    topology: "{{ placement_topology }}"
    cufile: /etc/dynamo/cufile.json
"""

RETURN = r"""
path:
  description: C(direct) (nvidia-fs), C(p2pdma), C(compat) (through the CPU) or C(off).
  type: str
  returned: success
reason:
  description: Why, in one sentence.
  type: str
  returned: success
problems:
  description: What keeps it from the direct path, each with C(what), C(seen), C(wanted), C(mend).
  type: list
  elements: dict
  returned: success
notes:
  description: What may make it slow.
  type: list
  elements: str
  returned: success
gdscheck:
  description: Why gdscheck's word is missing; empty where it was heard.
  type: str
  returned: success
activated:
  description: What was, or in check mode would be, loaded or opened.
  type: list
  elements: str
  returned: success
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import sandboxed
from ansible.module_utils.dynfleet.gds import gdscheck, verdict
from ansible.module_utils.dynfleet.gds.facts import Facts, read

MODULE = "nvidia-fs"


def run(argv: Sequence[str], seconds: int, **environment: str) -> str:
    """Output of a command, bounded. Raises OSError with what it said."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C", **environment},
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{argv[0]} did not answer within {seconds} s") from None
    if done.returncode != 0 and not done.stdout:
        raise OSError(f"{argv[0]}: {' '.join(done.stderr.split())[:300]}")
    return done.stdout


def available(seconds: int) -> bool:
    """Whether the running kernel has nvidia-fs to load."""
    try:
        return bool(run(["modprobe", "--dry-run", "--show-depends", MODULE], seconds).strip())
    except OSError:
        return False


def to_activate(facts: Facts, route: str, seconds: int) -> list[tuple[str, list[str]]]:
    """What would be done, each with its command."""
    if route != "nvidia-fs":
        return []
    if facts.nvidia_fs is None:
        if available(seconds):
            return [(f"load {MODULE}", ["modprobe", MODULE])]
        return []
    if facts.closed:
        trigger = ["udevadm", "trigger", "--settle", "--action=change", *facts.closed]
        return [(f"open {', '.join(facts.closed)}", trigger)]
    return []


def carry_out(module: AnsibleModule, what: str, command: list[str]) -> None:
    """Run a command, not in check mode. That it failed is a warning: the verdict says the rest."""
    if module.check_mode:
        return
    try:
        run(command, module.params["timeout"])
    except OSError as error:
        module.warn(f"cannot {what}: {error}")


def ask(params: dict[str, Any]) -> tuple[gdscheck.Check | None, str]:
    """The word of gdscheck, or why there is none."""
    tool = params["gdscheck"]
    if not Path(tool).exists():
        return None, f"{tool} is not there"
    try:
        text = run([tool, "-p"], params["timeout"], CUFILE_ENV_PATH_JSON=params["cufile"])
        return gdscheck.parse(text), ""
    except (OSError, gdscheck.NotGdscheck) as error:
        return None, str(error)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "required": True},
            "topology": {"type": "dict", "required": True},
            "route": {"type": "str", "choices": list(verdict.ROUTES), "default": "nvidia-fs"},
            "allow_compat": {"type": "bool", "default": False},
            "cufile": {"type": "path", "required": True},
            "gdscheck": {"type": "path", "default": "/usr/local/cuda/gds/tools/gdscheck"},
            "activate": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params

    def look() -> Facts:
        return read(params["directories"], params["topology"]["gpus"], sandboxed.USER)

    facts = look()
    done: list[str] = []
    # Twice: what was loaded may have devices to open.
    for _ in range(2 if params["activate"] else 0):
        steps = to_activate(facts, params["route"], params["timeout"])
        for what, command in steps:
            if what not in done:
                done.append(what)
                carry_out(module, what, command)
        if steps and not module.check_mode:
            facts = look()
    check, missing = ask(params)
    found = verdict.decide(facts, check, params["route"], params["allow_compat"])
    module.exit_json(
        changed=bool(done),
        path=found.path,
        reason=found.reason,
        problems=[asdict(problem) for problem in found.problems],
        notes=list(found.notes),
        gdscheck=missing,
        activated=done,
    )


if __name__ == "__main__":
    main()
