"""Who holds GPU memory, by nvidia-smi: it is there wherever the driver is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from ansible.module_utils.dynfleet.topology import smi
from ansible.module_utils.dynfleet.topology.bounded import Command, Failed


class Holder(NamedTuple):
    """A process that holds memory of a GPU."""

    gpu: str  # UUID
    pid: int
    name: str
    mib: str  # as nvidia-smi says it


def parse(text: str, gpus: Sequence[str]) -> list[Holder]:
    """Holders on these GPUs, from ``--query-compute-apps=gpu_uuid,pid,used_memory,process_name``.

    nvidia-smi prints a line a process, without a header; none where nobody holds anything.
    """
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",", 3)]
        if len(fields) == 4 and fields[0] in gpus and fields[1].isdigit():
            found.append(Holder(fields[0], int(fields[1]), fields[3], fields[2]))
    return found


def holders(gpus: Sequence[str], seconds: float) -> list[Holder]:
    """Processes with memory on these GPUs (UUIDs).

    Raises bounded.Hung after `seconds`, bounded.Failed with what nvidia-smi said.
    """
    path = smi.program()
    if path is None:
        raise Failed("nvidia-smi is not installed")
    query = "--query-compute-apps=gpu_uuid,pid,used_memory,process_name"
    done = Command([path, query, "--format=csv,noheader"]).finish(time.monotonic() + seconds)
    if done.code != 0:
        raise Failed(f"nvidia-smi: {(done.err or done.out).strip()[:300]}")
    return parse(done.out, gpus)
