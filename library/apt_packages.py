#!/usr/bin/python
"""Documentation of the action apt_packages, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_packages
short_description: Install packages, and wait for who has locked apt
description:
  - Takes the options of M(ansible.builtin.apt) but C(lock_timeout), and is as it.
  - Where another process has locked apt or dpkg, as unattended upgrades do on a host that has just
    booted, it waits for C(dynamo_apt_lock_seconds) (900) and says for which process. After that it
    fails with the process that has the lock.
attributes:
  check_mode:
    description: As M(ansible.builtin.apt); does not wait, for nothing is locked.
    support: full
  diff_mode:
    description: As M(ansible.builtin.apt).
    support: full
options:
  name:
    description: Packages.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Install liburing
  apt_packages:
    name: [liburing2]
    install_recommends: false
    cache_valid_time: 86400
"""

RETURN = r"""
msg:
  description: Why it failed; of a lock the process that has it.
  type: str
  returned: failure
"""
