"""Loaded by ansible-lint's Python: its `args` rule imports our modules as Ansible would."""

from pathlib import Path

import ansible.module_utils

PROJECT = Path(__file__).resolve().parents[2]
ansible.module_utils.__path__.append(str(PROJECT / "library" / "module_utils"))
