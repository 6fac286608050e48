"""Listening TCP sockets of a host: whose they are, and whether the port table has them."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.ports import LOOPBACK, Listener

_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


class Entry(NamedTuple):
    """A listening socket as the kernel lists it."""

    address: str
    port: int
    inode: str


def parse_table(text: str) -> list[Entry]:
    """Listening sockets of ``/proc/net/tcp`` or ``tcp6``.

    Addresses there are 32-bit words in the machine's byte order; ports are big-endian.
    """
    entries = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        packed, port = fields[1].split(":")
        words = [int(packed[i : i + 8], 16) for i in range(0, len(packed), 8)]
        raw = struct.pack(f"={len(words)}I", *words)
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        entries.append(Entry(socket.inet_ntop(family, raw), int(port, 16), fields[9]))
    return entries


def parse_cgroup(text: str) -> str:
    """The systemd unit of a process by its ``/proc/PID/cgroup``; empty where it has none.

    Reads the unified hierarchy, or systemd's own one of version 1.
    """
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "name=systemd"):
            for part in reversed(path.split("/")):
                if part.endswith((".service", ".scope")):
                    return part
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the process has ended, or IPv6 is off
        return ""


def _owners(proc: Path, inodes: set[str]) -> dict[str, Path]:
    """Process directory by socket inode; of several processes the oldest (lowest id)."""
    owners: dict[str, Path] = {}
    pids = sorted(int(path.name) for path in proc.iterdir() if path.name.isdigit())
    for pid in pids:
        try:
            links = list((proc / str(pid) / "fd").iterdir())
        except OSError:
            continue
        for link in links:
            try:
                match = _SOCKET.fullmatch(str(link.readlink()))
            except OSError:
                continue
            if match and match.group(1) in inodes:
                owners.setdefault(match.group(1), proc / str(pid))
    return owners


def read(proc: Path = Path("/proc")) -> list[dict[str, Any]]:
    """Every listening TCP socket with address, port, process name, pid and systemd unit."""
    entries = parse_table(_read(proc / "net/tcp")) + parse_table(_read(proc / "net/tcp6"))
    owners = _owners(proc, {entry.inode for entry in entries})
    found = []
    for entry in entries:
        process = owners.get(entry.inode)
        found.append(
            {
                "address": entry.address,
                "port": entry.port,
                "pid": int(process.name) if process else 0,
                "process": _read(process / "comm").strip() if process else "",
                "unit": parse_cgroup(_read(process / "cgroup")) if process else "",
            }
        )
    return sorted(found, key=lambda item: (item["port"], item["address"]))


def unit_of(entry: Listener) -> str:
    """The unit that has a listener of the port table."""
    return f"{entry.process}.service"


def compare(
    sockets: Sequence[Mapping[str, Any]], table: Sequence[Listener], active: set[str]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Compare a host's listening sockets with its port table.

    active: units whose listeners have to be there.
    Returns the sockets, each with ``verdict`` added (``listed``; ``engine``: vLLM's own, for its
    processes among themselves, on loopback and any port; ``foreign``: a site's own, not on our
    ports; ``wrong``), and a finding for each wrong one and each that is missing.
    """
    engines = {unit_of(entry) for entry in table if entry.entry == "worker_vllm"}
    wanted = {(entry.address, entry.port): entry for entry in table}
    ports = {entry.port: entry for entry in table}
    judged: list[dict[str, Any]] = []
    findings: list[dict[str, str]] = []
    for item in sockets:
        place = f"{item['address']}:{item['port']}"
        owner = f"{place} of {item['process'] or 'an unknown process'} (pid {item['pid']}, "
        owner += f"{item['unit'] or 'no unit'})"
        entry = wanted.get((item["address"], item["port"]))
        verdict, expected, unit = "listed", "", item["unit"]
        if entry and unit_of(entry) != item["unit"]:
            verdict, expected, unit = "wrong", f"{place} of {unit_of(entry)}", unit_of(entry)
        elif not entry and item["unit"] in engines and item["address"] == LOOPBACK:
            verdict = "engine"
        elif not entry and item["unit"].startswith("dynamo-"):
            verdict, expected = "wrong", "no listener that is not in the port table"
        elif not entry and item["port"] in ports:
            unit = unit_of(ports[item["port"]])
            verdict, expected = "wrong", f"port {item['port']} for {unit} alone"
        elif not entry:
            verdict = "foreign"
        judged.append({**item, "verdict": verdict})
        if verdict == "wrong":
            findings.append(
                {"unit": unit, "check": "listener", "expected": expected, "seen": owner}
            )
    there = {(item["address"], item["port"]) for item in sockets}
    for entry in table:
        if entry.always and unit_of(entry) in active and (entry.address, entry.port) not in there:
            findings.append(
                {
                    "unit": unit_of(entry),
                    "check": "listener",
                    "expected": f"{entry.address}:{entry.port}",
                    "seen": "nothing listens there",
                }
            )
    return judged, findings
