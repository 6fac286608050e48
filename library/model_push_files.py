#!/usr/bin/python
"""Ansible module: the files that a push is about to fill, for the action model_push."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_push_files
short_description: Make the files that the controller sends, and say how much of each is there
description:
  - The host's part of the action M(model_push). Not to be used by itself.
attributes:
  check_mode:
    description: Is skipped, as the action is.
    support: none
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  staging:
    description: Directory that is filled.
    type: path
    required: true
  files:
    description: Paths of the files below it.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Look how far a push has come
  model_push_files:
    staging: /srv/models/.llama-3.3-70b.0f3a5bd2c177.partial
    files: [config.json, model-00001-of-00030.safetensors]
  register: seen
"""

RETURN = r"""
had:
  description: Bytes of each file that are there, from its beginning without a gap.
  type: dict
  returned: success
  sample: {"config.json": 879, "model-00001-of-00030.safetensors": 0}
identity:
  description: Of the directory, as DEVICE:INODE.
  type: str
  returned: success
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.model import push
from ansible.module_utils.dynfleet.nofollow import UnsafePath


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "staging": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "str", "required": True},
        },
    )
    # Directories are made for all to enter; root's umask may be another.
    os.umask(0o022)
    try:
        had, identity = push.prepare(Path(module.params["staging"]), module.params["files"])
    except UnsafePath as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['staging']}: {error.strerror}")
    module.exit_json(changed=False, had=had, identity=identity)


if __name__ == "__main__":
    main()
