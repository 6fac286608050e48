"""The reader of `nvidia-smi topo -m` texts, as people paste them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.dynfleet.topology.links import canonical, nvlinks
from ansible.module_utils.dynfleet.topology.topo_lines import (
    P2P_CELLS,
    Header,
    Row,
    clean,
    header,
    row,
)

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


class NotAMatrix(Exception):
    """The text holds no usable link matrix; the message says why and where."""


@dataclass
class _Block:
    """One matrix of a text: its header, its rows, the lines after them."""

    line: int
    head: Header
    rows: dict[str, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_p2p(self) -> bool:
        """Whether it is a table of P2P capabilities."""
        return any(cell in P2P_CELLS for found in self.rows.values() for cell in found.cells)

    @property
    def hides_nvlink(self) -> bool:
        """Whether its legend is that of `-mp`, which explains PIX but no NV#."""
        text = "\n".join(self.notes)
        return "PIX" in text and "NV#" not in text


def parse(text: str) -> dict[str, Any]:
    """Topology of a text: `gpus`, `links`, `network`, `numa_nodes`, `problems`.

    GPUs have an index, a NUMA node and CPUs; UUID, PCI address and the rest are None, as the
    text has none. Raises NotAMatrix for what is no matrix, truncated, asymmetric, of another
    vendor, or a table of P2P capabilities.
    """
    blocks = [block for block in _blocks(text) if block.rows]
    matrices = [block for block in blocks if not block.is_p2p]
    if not matrices:
        raise NotAMatrix(_why_none(text, blocks))
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


def _blocks(text: str) -> list[_Block]:
    """Every matrix of the text."""
    blocks: list[_Block] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = clean(raw)
        head = header(line)
        if head is not None:
            blocks.append(_Block(number, head))
            continue
        if not blocks:
            continue
        found = row(line, blocks[-1].head)
        if found is not None and found.label not in blocks[-1].rows:
            blocks[-1].rows[found.label] = found
        elif line.strip():
            blocks[-1].notes.append(line)
    return blocks


def _why_none(text: str, blocks: list[_Block]) -> str:
    for pattern, vendor in FOREIGN:
        if pattern.search(text):
            return f"a topology of {vendor}, not of nvidia-smi"
    if blocks:
        return (
            f"line {blocks[0].line} starts a table of P2P capabilities ('topo -p2p'), which does"
            " not tell links apart: record 'nvidia-smi topo -m'"
        )
    return "no matrix of 'nvidia-smi topo -m': no header line 'GPU0 GPU1 ...' with rows below it"


def _matrix(block: _Block) -> dict[str, Any]:
    """The topology of one matrix. Raises NotAMatrix."""
    devices = block.head.devices
    gpus = [name for name in devices if re.fullmatch(r"GPU\d+", name)]
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
    return {
        "gpus": [_gpu(found) for found in rows],
        "links": [[cells[one][other] for other in gpus] for one in gpus],
        "network": [
            _nic(names.get(name, name), [cells[gpu][name] for gpu in gpus])
            for name in devices
            if name not in gpus
        ],
        "numa_nodes": _nodes(rows),
        "problems": [],
    }


def _cells(found: Row, devices: tuple[str, ...]) -> dict[str, str]:
    """The cells of a row by device, in canonical words."""
    if len(found.cells) < len(devices):
        raise NotAMatrix(
            f"truncated: the row of {found.label} has {len(found.cells)} of {len(devices)} cells"
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


def _gpu(found: Row) -> dict[str, Any]:
    unknown = ("uuid", "pci", "minor", "name", "memory_bytes", "mig")
    return {
        "index": int(found.label[3:]),
        **dict.fromkeys(unknown),
        "lost": False,
        "numa_node": found.numa_node,
        "cpus": found.cpus,
        "health": {},
    }


def _nic(name: str, distance: list[str]) -> dict[str, Any]:
    """nvidia-smi lists the RDMA devices; it does not tell their state."""
    unknown = ("state", "link_layer", "lid", "rate", "netdev", "pci", "numa_node")
    return {"name": name, "kind": "rdma", "port": 1, **dict.fromkeys(unknown), "distance": distance}


def _nodes(rows: list[Row]) -> list[dict[str, Any]]:
    """NUMA nodes that GPUs are on, with CPUs where all GPUs of the node tell the same."""
    nodes = sorted({found.numa_node for found in rows if found.numa_node is not None})
    told = {node: {found.cpus for found in rows if found.numa_node == node} for node in nodes}
    return [
        {
            "node": node,
            "cpus": told[node].pop() if len(told[node]) == 1 else None,
            "cores": [],
            "memory_bytes": None,
            "memory_free_bytes": None,
            "hugepages": [],
        }
        for node in nodes
    ]
