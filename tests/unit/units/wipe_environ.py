"""Write over the own environment, as setproctitle does, say so, and go on."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
start, end = int(fields[47]), int(fields[48])  # env_start and env_end, fields 50 and 51 of proc(5)
ctypes.memset(start, 0, end - start)
print("wiped", flush=True)
time.sleep(600)
