#!/usr/bin/python
"""Documentation of the action model_push, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_push
short_description: Send files of a model from the controller, for a while
description:
  - Sends what is missing of O(files) from O(source) of the controller to O(staging) of the host.
    Ends when all is there or after O(wait) seconds, with one line about the progress. The next call
    goes on where this one ended.
  - The bytes take the connection that Ansible has to the host, whatever makes it (user, port,
    password, key, bastion, C(ansible_ssh_common_args), another connection plugin) and whatever
    makes tasks root there (become from the command line, configuration, play or inventory, with a
    password or without). Nothing but a shell, C(dd) and C(flock) is needed on the host.
  - Over ssh the bytes go uncompressed, on a connection of their own. Where become or the site's
    configuration forbids pipelining, each piece is a file in the remote temporary directory first.
  - Digests are not compared here; that is M(model_files)'s work.
attributes:
  action:
    description: Runs on the controller, except for the look at what the host has.
    support: full
  check_mode:
    description: Is skipped, as the files cannot be told from those that M(model_files) lists.
    support: none
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  source:
    description: Directory of the controller.
    type: path
    required: true
  staging:
    description: Directory of the host that is filled.
    type: path
    required: true
  lock:
    description: The file that M(model_files) locks on the host while it works.
    type: path
    required: true
  files:
    description: Paths of the files, below both directories.
    type: list
    elements: str
    required: true
  wait:
    description: Seconds that one call may take, at least one piece of 64 MiB each.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Push what is missing
  model_push:
    source: /srv/models/llama-3.3-70b
    staging: /srv/models/.llama-3.3-70b.0f3a5bd2c177.partial
    lock: /srv/models/.llama-3.3-70b.lock
    files: [config.json, model-00001-of-00030.safetensors]
  register: sent
  loop: "{{ range(1, 1000) }}"
  loop_control:
    label: "{{ sent.line }}"
    break_when: sent is failed or sent.finished
"""

RETURN = r"""
line:
  description: The progress in words.
  type: str
  returned: success
  sample: 38.2 GiB of 131.4 GiB, 410.0 MiB/s, about 3 min 53 s left
finished:
  description: All files are there.
  type: bool
  returned: success
had:
  description: Bytes of each file that were there before.
  type: dict
  returned: success
  sample: {"config.json": 879, "model-00001-of-00030.safetensors": 0}
"""
