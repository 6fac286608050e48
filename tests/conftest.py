"""Modules and their helpers are importable as Ansible itself imports them."""

from __future__ import annotations

import sys
from pathlib import Path

import ansible.module_utils

LIBRARY = Path(__file__).resolve().parent.parent / "library"
ansible.module_utils.__path__.append(str(LIBRARY / "module_utils"))
sys.path.append(str(LIBRARY))
