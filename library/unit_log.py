#!/usr/bin/python
"""Ansible module: what a unit's log says that explains a failure elsewhere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_log
short_description: Find the lines of a unit's log that explain a failure elsewhere
description:
  - Why a frontend does not route to a worker is said in the frontend's log only, on its own host.
    This finds the lines there that speak of trouble since the worker's turn began, those that
    mention the worker before all others.
  - Reads only. A log that cannot be read is a line of the answer, never a failure.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  unit:
    description: Full unit name.
    type: str
    required: true
  seconds:
    description: How far back to look.
    type: float
    required: true
  mention:
    description: Words of which a line should have one, such as an instance or an address.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Ask the frontend why it does not route to a worker
  unit_log:
    unit: dynamo-frontend.service
    seconds: 60
    mention: ["10.0.0.6:9200"]
  delegate_to: frontend1
  register: explained
"""

RETURN = r"""
lines:
  description: The lines, the oldest first; none where the log says nothing of trouble.
  type: list
  elements: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.systemd import log_lines
from ansible.module_utils.dynfleet.verify.units import is_trouble, telling

MOST = 6


def explaining(lines: list[str], mention: list[str]) -> list[str]:
    """Lines that speak of trouble: those that mention one of the words, else all of them."""
    trouble = [line for line in lines if is_trouble(line)]
    named = [line for line in trouble if any(word in line for word in mention)]
    return telling(named or trouble, MOST)[:MOST] if trouble else []


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "seconds": {"type": "float", "required": True},
            "mention": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    log = log_lines(params["unit"], f"--since=-{params['seconds']:.0f}s")
    module.exit_json(changed=False, lines=explaining(log, params["mention"]))


if __name__ == "__main__":
    main()
