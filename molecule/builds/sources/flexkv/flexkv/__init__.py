"""Stands in for FlexKV: loads what lies in its lib directory, as FlexKV does."""

import ctypes
from pathlib import Path

for library in sorted(Path(__file__).parent.glob("lib/*.so*")):
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
