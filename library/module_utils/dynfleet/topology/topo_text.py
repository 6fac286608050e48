"""The reader of `nvidia-smi topo -m` texts, as people paste them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.dynfleet.topology.links import canonical, nvlinks
from ansible.module_utils.dynfleet.topology.topo_blocks import (
    Block,
    Unfit,
    blocks,
    lines,
    opens_header,
)
from ansible.module_utils.dynfleet.topology.topo_lines import TITLES, Row, is_gpu, unnamed
from ansible.module_utils.dynfleet.topology.topo_nodes import place

# What else prints GPU matrices, by a word that NVIDIA's never holds.
FOREIGN = (
    (re.compile(r"\bXGMI\b|\brocm-smi\b|ROCm|\bamd-smi\b"), "AMD"),
    (re.compile(r"\bHCCS|\bnpu-smi\b|\bNPU\d"), "Huawei Ascend"),
    (re.compile(r"\bMX\d*\b|\bmx-smi\b|MetaX"), "MetaX"),
    (re.compile(r"\bXL\d*\b|\bxpu-smi\b|\bGPU \d/\d"), "Intel"),
    (re.compile(r"\bixsmi\b|Iluvatar"), "Iluvatar"),
    (re.compile(r"\bmthreads-gmi\b|\bMTL\d*\b"), "Moore Threads"),
)
_LEGEND_NIC = re.compile(r"^\s*(NIC\d+)\s*[:=]\s*(\S+)\s*$")


# The mend for a text that is not as it was printed.
RECORD = "Record it as printed: nvidia-smi topo -m > topo.txt"


class NotAMatrix(Exception):
    """The text holds no usable link matrix; the message says why and where."""


def parse(text: str) -> dict[str, Any]:
    """Topology of a text: `gpus`, `links`, `network`, `numa_nodes`, `problems`.

    GPUs have an index, a NUMA node (topo_nodes says how it is known) and CPUs; UUID, PCI address
    and the rest are None, as the text has none. Raises NotAMatrix for what is no matrix,
    truncated, folded beyond repair, asymmetric, of another vendor, or a table of P2P capabilities.
    """
    try:
        found = [block for block in blocks(text) if block.rows]
    except Unfit as error:
        raise NotAMatrix(f"folded or cut off: {error}. {RECORD}") from error
    matrices = [block for block in found if not block.is_p2p]
    if not matrices:
        raise NotAMatrix(_why_none(text, found))
    read = [(block, _matrix(block)) for block in matrices]
    block, topology = next((one for one in read if not one[0].hides_nvlink), read[0])
    if block.hides_nvlink and not any(nvlinks(cell) for row in topology["links"] for cell in row):
        topology["problems"].append(
            {
                "code": "nvlink_hidden",
                "message": "the text is of 'topo -mp', which hides NVLink: record 'topo -m'",
            }
        )
    others = [other for other, found in read if found["links"] != topology["links"]]
    if any(other.hides_nvlink == block.hides_nvlink for other in others):
        topology["problems"].append(
            {
                "code": "several_matrices",
                "message": f"the text holds {len(read)} matrices that differ; the one of line"
                f" {block.line} was read",
            }
        )
    return topology


def _why_none(text: str, found: Sequence[Block]) -> str:
    for pattern, vendor in FOREIGN:
        if pattern.search(text):
            return f"a topology of {vendor}, not of nvidia-smi"
    if found:
        return (
            f"line {found[0].line} starts a table of P2P capabilities ('topo -p2p'), which does"
            " not tell links apart: record 'nvidia-smi topo -m'"
        )
    told = "no matrix of 'nvidia-smi topo -m': no header line 'GPU0 GPU1 ...' with rows below it"
    begun = [line.number for line in lines(text) if opens_header(line.text)]
    return f"{told}; line {begun[0]} is folded or cut off. {RECORD}" if begun else told


def _matrix(block: Block) -> dict[str, Any]:
    """The topology of one matrix. Raises NotAMatrix."""
    devices = block.head.devices
    gpus = [name for name in devices if is_gpu(name)]
    lost = [name for note in block.notes if (name := unnamed(note, block.head)) is not None]
    if any(map(is_gpu, lost)):
        raise NotAMatrix(
            f"folded or cut off: there are rows for {', '.join(filter(is_gpu, lost))}, which the"
            f" header in line {block.line} does not name. {RECORD}"
        )
    missing = [name for name in gpus if name not in block.rows]
    if missing:
        raise NotAMatrix(
            f"truncated: the header in line {block.line} names {len(gpus)} GPUs, there is no row"
            f" for {', '.join(missing)}"
        )
    cells = {name: _cells(block.rows[name], devices) for name in block.rows}
    for one, found in cells.items():
        for other, cell in found.items():
            if (cell == "X") != (one == other):
                raise NotAMatrix(f"{one} to {other} is '{cell}': X stands on the diagonal only")
            back = cells.get(other, {}).get(one, cell)
            if back != cell:
                raise NotAMatrix(
                    f"asymmetric: {one} to {other} is {cell}, {other} to {one} is {back}"
                )
    named = [_LEGEND_NIC.match(note) for note in block.notes]
    names = {match.group(1): match.group(2) for match in named if match}
    rows = [block.rows[name] for name in gpus]
    nodes = place([found.affinity for found in rows])
    return {
        "gpus": [_gpu(found, node) for found, node in zip(rows, nodes)],
        "links": [[cells[one][other] for other in gpus] for one in gpus],
        "network": [
            _nic(names.get(name, name), [cells[gpu][name] for gpu in gpus])
            for name in devices
            if name not in gpus
        ],
        "numa_nodes": _nodes(rows, nodes),
        "problems": _cut_off(block, lost),
    }


def _cut_off(block: Block, lost: Sequence[str]) -> list[dict[str, str]]:
    """What the right edge of a text has taken, as a problem."""
    titles = block.head.titles
    missing = [f"the columns of {', '.join(lost)}"] if lost else []
    if not block.head.whole and any(title.startswith(titles) for title in TITLES):
        missing.append("columns after the devices")
    torn = [
        label
        for label, found in block.rows.items()
        if is_gpu(label)
        and not block.head.numa
        and found.affinity.cpus is None
        and found.rest.strip() not in ("", "N/A")
    ]
    if torn:
        missing.append(f"parts of the CPU affinity of {', '.join(torn)}")
    if not missing:
        return []
    return [
        {
            "code": "cut_off",
            "message": f"the text is cut off on the right: {' and '.join(missing)} are missing, so"
            f" NUMA nodes and network devices may be unknown. {RECORD}",
        }
    ]


def _cells(found: Row, devices: tuple[str, ...]) -> dict[str, str]:
    """The cells of a row by device, in canonical words."""
    if len(found.cells) < len(devices):
        raise NotAMatrix(
            f"truncated: the row of {found.label} has {len(found.cells)} of {len(devices)} cells"
        )
    if found.surplus:
        raise NotAMatrix(
            f"folded or cut off: the row of {found.label} has more cells than the header names"
            f" devices ({len(devices)}). {RECORD}"
        )
    cells = {}
    for device, cell in zip(devices, found.cells):
        link = canonical(cell)
        if link is None:
            vendor = next((name for pattern, name in FOREIGN if pattern.search(cell)), None)
            told = f"a word of {vendor}, not of nvidia-smi" if vendor else "no link class"
            raise NotAMatrix(f"{found.label} to {device} is '{cell}': {told}")
        cells[device] = link
    return cells


def _gpu(found: Row, node: int | None) -> dict[str, Any]:
    unknown = ("uuid", "pci", "minor", "name", "memory_bytes", "mig")
    return {
        "index": int(found.label[3:]),
        **dict.fromkeys(unknown),
        "lost": False,
        "numa_node": node,
        "cpus": found.affinity.cpus,
        "health": {},
    }


def _nic(name: str, distance: list[str]) -> dict[str, Any]:
    """nvidia-smi lists the RDMA devices; it does not tell their state."""
    unknown = ("state", "link_layer", "lid", "rate", "netdev", "pci", "numa_node")
    return {"name": name, "kind": "rdma", "port": 1, **dict.fromkeys(unknown), "distance": distance}


def _nodes(rows: Sequence[Row], placed: Sequence[int | None]) -> list[dict[str, Any]]:
    """NUMA nodes that GPUs are on, with CPUs where all GPUs of the node tell the same."""
    told: dict[int, set[str | None]] = {}
    for found, node in zip(rows, placed):
        if node is not None:
            told.setdefault(node, set()).add(found.affinity.cpus)
    return [
        {
            "node": node,
            "cpus": cpus.pop() if len(cpus) == 1 else None,
            "cores": [],
            "memory_bytes": None,
            "memory_free_bytes": None,
            "hugepages": [],
        }
        for node, cpus in sorted(told.items())
    ]
