#!/usr/bin/python
"""Ansible module: what GPUs a host has, how they are joined and what lies near them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_topology
short_description: Read the GPU topology of a host, live or recorded
description:
  - Reads GPUs, links, NUMA, NVMe, network and what else placement needs, in one call.
options:
  recorded:
    description: Read this file on the host instead.
    type: path
"""
EXAMPLES = ""
RETURN = ""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.topology import recorded


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"recorded": {"type": "path"}}, supports_check_mode=True)
    try:
        topology = recorded.read(module.params["recorded"])
    except recorded.Unreadable as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, topology=topology)


if __name__ == "__main__":
    main()
