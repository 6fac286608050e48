"""What a unit's processes hold beyond their own memory, and whether it is gone after their end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_SHARED = re.compile(r"\s(/dev/shm/[^\n]*?)(?: \(deleted\))?$", re.MULTILINE)


def processes(control_group: str, root: Path = Path("/")) -> list[int]:
    """Process ids of a unit's control group and of those below it; none where it is gone."""
    found: list[int] = []
    # Unified hierarchy first, then systemd's own one of version 1.
    for base in ("sys/fs/cgroup", "sys/fs/cgroup/unified", "sys/fs/cgroup/systemd"):
        group = root / base / control_group.lstrip("/")
        if not control_group or not group.is_dir():
            continue
        for procs in group.rglob("cgroup.procs"):
            try:
                found += [int(line) for line in procs.read_text().split()]
            except OSError:  # the group went away
                continue
        if found:
            break
    return sorted(set(found))


def shared_memory(pids: Iterable[int], root: Path = Path("/")) -> set[str]:
    """Files in /dev/shm that these processes have mapped and that still have a name."""
    found: set[str] = set()
    for pid in pids:
        try:
            maps = (root / f"proc/{pid}/maps").read_text()
        except OSError:  # it ended
            continue
        found |= {name for name in _SHARED.findall(maps) if (root / name.lstrip("/")).exists()}
    return found


def everyone(root: Path = Path("/")) -> list[int]:
    """All process ids of the host."""
    return [int(path.name) for path in (root / "proc").iterdir() if path.name.isdigit()]
