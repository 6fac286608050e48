"""Network interfaces and RDMA ports, with their distance to each GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import sysfs
from ansible.module_utils.dynfleet.topology.storage import distances


def network(
    root: Path, gpus: Sequence[dict[str, Any]], nodes: Sequence[int]
) -> list[dict[str, Any]]:
    """RDMA ports (kind `rdma`) and the physical interfaces without one (kind `ethernet`).

    An RDMA port names the interface of the same PCI function. Virtual interfaces are left out.
    """
    interfaces: dict[str, list[Path]] = {}
    for path in sorted((root / "sys/class/net").glob("*")):
        pci = sysfs.pci_of(path) if (path / "device").exists() else None
        if pci is not None:
            interfaces.setdefault(pci, []).append(path)
    found = []
    for device in sorted((root / "sys/class/infiniband").glob("*")):
        pci = sysfs.pci_of(device)
        netdev = interfaces.pop(pci, []) if pci is not None else []
        for port in sorted((device / "ports").glob("*")):
            lid = sysfs.text(port / "lid")
            found.append(
                {
                    "name": device.name,
                    "kind": "rdma",
                    "port": int(port.name),
                    "state": _state(port),
                    "link_layer": sysfs.text(port / "link_layer"),
                    "lid": None if lid is None else int(lid, 0),
                    "rate": sysfs.text(port / "rate"),
                    "netdev": netdev[0].name if netdev else None,
                    **_place(root, pci, gpus, nodes),
                }
            )
    for pci, paths in interfaces.items():
        found += [_ethernet(root, path, pci, gpus, nodes) for path in paths]
    return found


def _state(port: Path) -> str | None:
    """`ACTIVE` of `4: ACTIVE`."""
    state = sysfs.text(port / "state")
    return None if state is None else state.rpartition(":")[2].strip()


def _ethernet(
    root: Path, path: Path, pci: str, gpus: Sequence[dict[str, Any]], nodes: Sequence[int]
) -> dict[str, Any]:
    speed = sysfs.number(path / "speed")
    return {
        "name": path.name,
        "kind": "ethernet",
        "port": None,
        "state": sysfs.text(path / "operstate"),
        "link_layer": "Ethernet",
        "lid": None,
        "rate": None if speed is None or speed < 0 else f"{speed} Mb/sec",
        "netdev": path.name,
        **_place(root, pci, gpus, nodes),
    }


def _place(
    root: Path, pci: str | None, gpus: Sequence[dict[str, Any]], nodes: Sequence[int]
) -> dict[str, Any]:
    return {
        "pci": pci,
        "numa_node": None if pci is None else sysfs.numa_node(root, pci, nodes),
        "distance": distances(root, pci, gpus, nodes),
    }
