#!/usr/bin/python
"""Documentation of the action inventory_check, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_check
short_description: Check the whole inventory before any host is touched
description:
  - Looks at the variables of every host in the groups C(etcd), C(nats), C(builder), C(frontends)
    and C(workers), as they stand with extra variables, and fails with all problems in one report.
    Each is one line that says where, which variable with which value, what is wrong and what to
    do; what several hosts share is one line.
  - Runs on the controller and connects to no host. Only variables that a check asks for are
    rendered; one that cannot be rendered is itself a problem.
  - Which variables exist is read off C(group_vars/all) and the roles' defaults. A variable that
    begins like one of these and is none of them is refused, unless C(dynamo_foreign_variables)
    names it. Versions that do not work together are in C(group_vars/all/compatibility.yml).
  - Fails, and looks at nothing else, where another order of variables than this project's is in
    force, or another configuration file.
  - A host in none of the five groups is left alone. What only a host knows (GPUs, disks, memory,
    the model's directory) is checked there, by the roles.
attributes:
  check_mode:
    description: Does the same, as it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  scope:
    description: >-
      V(all) is the whole inventory. V(options) is what was given by C(-e), and the settings of
      rolls (C(roll_)) wherever they are: every other playbook begins with it.
    type: str
    choices: [all, options]
    default: all
"""

EXAMPLES = r"""
- name: Check the inventory
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Check what the site wrote
      inventory_check:
"""

RETURN = r"""
msg:
  description: The report, one line a problem after the first; or how much was looked at.
  type: str
  returned: always
  sample: |-
    1 problem in the inventory; no host was touched.
    group workers: dynamo_group_size = 0: is less than 1; give at least 1 and at most 16
"""
