#!/usr/bin/python
"""Ansible module: how far a model has come that another task is bringing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_progress
short_description: Wait a little and say how far a model has come
description:
  - Looks at the directory that M(model_files) is filling, waits, looks again, and gives
    one line with bytes, files, rate and the time that is left at this rate.
  - Ends early when nothing holds the lock any more. Whether the work succeeded is its own task's
    to say.
attributes:
  check_mode:
    description: Does the same, as it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  staging:
    description: The directory that is being filled.
    type: path
    required: true
  lock:
    description: The file that is locked meanwhile.
    type: path
    required: true
  total:
    description: Bytes that there will be.
    type: int
    required: true
  wait:
    description: Seconds between the two looks.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Watch the model come
  model_progress:
    staging: /srv/models/.llama-3.3-70b.0f3a5bd2c177.partial
    lock: /srv/models/.llama-3.3-70b.lock
    total: 141107412345
  register: seen
  loop: "{{ range(1, 1000) }}"
  loop_control:
    label: "{{ seen.line }}"
    break_when: seen.finished
"""

RETURN = r"""
line:
  description: The progress in words.
  type: str
  returned: always
  sample: 38.2 GiB of 131.4 GiB, 7 of 57 files checked, 1.2 GiB/s, about 1 min 18 s left
finished:
  description: Nothing works on the model any more.
  type: bool
  returned: always
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.lock import is_locked
from ansible.module_utils.dynfleet.model import progress


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "staging": {"type": "path", "required": True},
            "lock": {"type": "path", "required": True},
            "total": {"type": "int", "required": True},
            "wait": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    staging, lock = Path(params["staging"]), Path(params["lock"])
    before = progress.look(staging)
    end = time.monotonic() + params["wait"]
    # The work may not have begun yet: its lock is looked for after a second.
    time.sleep(1)
    while working := is_locked(lock):
        if time.monotonic() > end:
            break
        time.sleep(0.5)
    now = progress.look(staging)
    line = progress.line(before, now, params["total"]) if working else "finished"
    module.exit_json(changed=False, line=line, finished=not working)


if __name__ == "__main__":
    main()
