#!/usr/bin/python
"""Ansible module: which processes hold locks, or files of a directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: path_holders
short_description: Say which processes hold locks, or have files of a directory open
description:
  - Reads C(/proc/locks) and what every process has open; needs no program such as fuser.
  - Reads only. That something is held is the result, not a failure.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  locks:
    description: Lock files. One that is not there is held by nobody.
    type: list
    elements: path
    default: []
  directory:
    description: Directory whose files may be open.
    type: path
"""

EXAMPLES = r"""
- name: See who keeps apt from working
  path_holders:
    locks: [/var/lib/dpkg/lock-frontend, /var/lib/apt/lists/lock]

- name: See whether the store of etcd is in use
  path_holders:
    directory: /var/lib/dynamo/etcd
"""

RETURN = r"""
holders:
  description: Processes, each with C(pid), C(name) and the C(path) that it holds.
  type: list
  elements: dict
  returned: always
told:
  description: The same in words; empty where there are none.
  type: str
  returned: always
  sample: unattended-upgrade (pid 812), which holds /var/lib/dpkg/lock-frontend
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import holders


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "locks": {"type": "list", "elements": "path", "default": []},
            "directory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        found = holders.of_locks(params["locks"])
        found += holders.of_directory(params["directory"]) if params["directory"] else []
    except OSError as error:
        module.fail_json(msg=f"cannot tell who holds what: {error}")
    module.exit_json(
        changed=False, holders=[one._asdict() for one in found], told=holders.told(found)
    )


if __name__ == "__main__":
    main()
