"""Drills: faults and rolls made on a lab whose service is under load, and what they cost.

They pull plugs and kill processes: for the lab's hosts only.
"""

import sys
from pathlib import Path

import ansible.module_utils

PROJECT = Path(__file__).resolve().parents[3]
LIBRARY = str(PROJECT / "library" / "module_utils")
if LIBRARY not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(LIBRARY)
sys.dont_write_bytecode = True
