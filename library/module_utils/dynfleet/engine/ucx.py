"""Which transport UCX chose, out of what it prints with UCX_PROTO_INFO=y; what a trial means.

The tables are those of UCX 1.21, which comes with nixl 1.3: one for each kind of operation on a
connection, a row for each range of sizes, the transport in the last column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.engine.problem import Problem

# `ucp_context_0 intra-node cfg#1 | remote memory write by ucp_put* from host memory to host`: of a
# connection to another process (`self` is a process with itself).
_TITLE = re.compile(
    r"\|\s*\S+\s+(?P<where>self|intra-node|inter-node)\s+cfg#\d+\s*\|\s*(?P<operation>[^|]+?)\s*\|"
)
_ROW = re.compile(
    r"\|\s*(?P<first>\d+)(?:\.\.(?P<last>\d+|inf))?\s*\|[^|]*\|\s*(?P<chosen>[^|]+?)\s*\|"
)
_LANE = re.compile(r"(?:(\d+)% on )?([\w.-]+)/([\w.:-]+)")
_SAID = re.compile(r"UCX\s+(?:WARN|ERROR)\s+(.*)")
# Ethernet through the kernel: what is left where RDMA does not work.
SLOW = frozenset(("tcp",))


class Lane(NamedTuple):
    """A transport, the device it runs on, and its share of the bytes in percent."""

    transport: str
    device: str
    share: int

    def told(self) -> str:
        """For people."""
        shared = self.device == "memory"
        return self.transport if shared else f"{self.transport} on {self.device}"


def lanes(text: str, size: int = 1 << 20) -> list[Lane]:
    """How a block of `size` bytes is written to another process; empty where it is not said."""
    wanted = False
    for line in text.splitlines():
        title = _TITLE.search(line)
        if title:
            wanted = title["where"] != "self" and title["operation"].startswith(
                "remote memory write"
            )
            continue
        row = _ROW.search(line) if wanted else None
        if row is None:
            continue
        last = row["last"] or row["first"]
        if int(row["first"]) <= size and (last == "inf" or size <= int(last)):
            return [
                Lane(transport, device, int(share or 100))
                for share, transport, device in _LANE.findall(row["chosen"])
            ]
    return []


def complaints(text: str) -> list[str]:
    """Warnings and errors of UCX, each once."""
    return list(dict.fromkeys(match.strip() for match in _SAID.findall(text)))


def told(found: Sequence[Lane]) -> str:
    """Lanes for people."""
    return " and ".join(lane.told() for lane in found) or "something that UCX does not name"


def judge(devices: Sequence[str], seen: Mapping[str, Any], text: str) -> list[Problem]:
    """What is wrong with a trial between hosts.

    devices: RDMA `device:port` that the plan gives a worker. seen: what `engine.agents` printed.
    text: what UCX said.
    """
    planned = ", ".join(devices)
    what = f"NIXL between hosts, on {planned}" if devices else "NIXL between hosts"
    said = "; ".join(complaints(text))
    if seen["error"]:
        return [
            Problem(
                what,
                f"not working ({seen['error']}{f'; UCX: {said}' if said else ''})",
                "a transfer",
                "see that the device's port is ACTIVE and that /dev/infiniband is there "
                "(ibv_devinfo), and plan anew: playbooks/plan.yml"
                if devices
                else "install the release again, or another release set",
            )
        ]
    slow = [lane for lane in lanes(text) if lane.transport in SLOW]
    if devices and slow:
        return [
            Problem(
                what,
                f"by {told(slow)}",
                "by RDMA",
                "see that the device's port is ACTIVE and has an address (LID or GID), and plan "
                "anew: playbooks/plan.yml",
            )
        ]
    return []


def sentence(inside: Sequence[Lane], between: Sequence[Lane]) -> str:
    """Which transports NIXL uses."""
    return f"NIXL goes by {told(inside)} within the host, and by {told(between)} between hosts"
