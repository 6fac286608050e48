"""GPUs and links by nvidia-smi: the XML of `-q -x` and the matrix of `topo -m`."""

from __future__ import annotations

import re
import shutil
import time
from typing import Any
from xml.etree import ElementTree

from ansible.module_utils.dynfleet.topology.bounded import Command, Failed, Output
from ansible.module_utils.dynfleet.topology.sysfs import address
from ansible.module_utils.dynfleet.topology.topo_text import NotAMatrix, parse

PROGRAM = "nvidia-smi"
# Where units and sudo may not look, but drivers install it.
SEARCH = "/usr/bin:/usr/local/bin:/usr/local/nvidia/bin:/opt/bin"
_LOST = re.compile(r"(?:GPU ?)([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*: (.+)")


def program() -> str | None:
    """Path of nvidia-smi, None where there is none."""
    return shutil.which(PROGRAM) or shutil.which(PROGRAM, path=SEARCH)


def read(path: str, seconds: float) -> dict[str, Any]:
    """`driver`, `cuda`, `gpus`, `links` and `problems`, like `nvml.read`.

    Both commands run at the same time, within `seconds` together. Raises bounded.Hung, and
    bounded.Failed with what nvidia-smi said.
    """
    deadline = time.monotonic() + seconds
    commands = [Command([path, "-q", "-x"]), Command([path, "topo", "-m"])]
    try:
        query, matrix = [command.finish(deadline) for command in commands]
    finally:
        for command in commands:
            if command.process.poll() is None:
                command.abandon()
    problems = _lost(query)
    facts = _query(query, problems)
    links, unread = _links(matrix, facts["gpus"])
    return {**facts, "links": links, "problems": problems + unread}


def _lost(query: Output) -> list[dict[str, str]]:
    """GPUs that nvidia-smi names as out of reach, as problems."""
    return [
        {
            "code": "gpu_lost",
            "message": f"nvidia-smi cannot reach GPU {address(pci)}: {why.strip()}",
        }
        for pci, why in _LOST.findall(query.out + "\n" + query.err)
    ]


def _query(query: Output, problems: list[dict[str, str]]) -> dict[str, Any]:
    """Driver, CUDA and GPUs from the XML; complaints may stand before it."""
    _, start, document = query.out.partition("<?xml")
    try:
        root = ElementTree.fromstring(start + document)  # noqa: S314 - printed by nvidia-smi
    except ElementTree.ParseError:
        said = " ".join((query.err + " " + query.out).split())[:300]
        if problems:
            return {"driver": None, "cuda": None, "gpus": []}
        raise Failed(said or f"nvidia-smi -q -x printed nothing (exit {query.code})") from None
    return {
        "driver": root.findtext("driver_version"),
        "cuda": root.findtext("cuda_version"),
        "gpus": [_gpu(index, node) for index, node in enumerate(root.findall("gpu"))],
    }


def _gpu(index: int, node: ElementTree.Element) -> dict[str, Any]:
    """Facts of one GPU. Where nvidia-smi prints `GPU is lost` for a value, it is lost."""
    uuid = (node.findtext("uuid") or "").strip()
    mig = (node.findtext("mig_mode/current_mig") or "").strip().lower()
    link = "pci/pci_gpu_link_info/"
    memory = _number(node, "fb_memory_usage/total")
    return {
        "index": index,
        "uuid": uuid if uuid.startswith("GPU-") else None,
        "pci": address(node.get("id") or node.findtext("pci/pci_bus_id") or ""),
        "minor": _number(node, "minor_number"),
        "name": node.findtext("product_name"),
        "memory_bytes": None if memory is None else memory << 20,
        "mig": mig if mig in ("enabled", "disabled") else None,
        "lost": not uuid.startswith("GPU-"),
        "health": {
            "ecc_uncorrected_volatile": _ecc(node),
            "remap_pending": _yes(node, "remapped_rows/remapped_row_pending"),
            "remap_failure": _yes(node, "remapped_rows/remapped_row_failure"),
            "pcie_gen_current": _number(node, link + "pcie_gen/current_link_gen"),
            "pcie_gen_max": _number(node, link + "pcie_gen/max_link_gen"),
            "pcie_width_current": _number(node, link + "link_widths/current_link_width"),
            "pcie_width_max": _number(node, link + "link_widths/max_link_width"),
        },
    }


def _number(node: ElementTree.Element, path: str) -> int | None:
    """The number that a value starts with (`81559 MiB`, `16x`), None for `N/A`."""
    match = re.match(r"\s*(\d+)", node.findtext(path) or "")
    return int(match.group(1)) if match else None


def _yes(node: ElementTree.Element, path: str) -> bool | None:
    return {"yes": True, "no": False}.get((node.findtext(path) or "").strip().lower())


def _ecc(node: ElementTree.Element) -> int | None:
    """Uncorrectable errors since the driver was loaded; drivers group them differently."""
    volatile = node.find("ecc_errors/volatile")
    if volatile is None:
        return None
    total = volatile.find("double_bit/total")
    found = [total] if total is not None else [e for e in volatile if "uncorrectable" in e.tag]
    counts = [int(e.text) for e in found if e.text and e.text.strip().isdigit()]
    return sum(counts) if counts else None


def _links(
    output: Output, gpus: list[dict[str, Any]]
) -> tuple[list[list[str]], list[dict[str, str]]]:
    """The link matrix of these GPUs; NONE where the matrix does not hold a pair."""
    found: dict[tuple[int, int], str] = {}
    problems = []
    try:
        matrix = parse(output.out)
        indices = [gpu["index"] for gpu in matrix["gpus"]]
        for row, one in enumerate(indices):
            for column, other in enumerate(indices):
                found[one, other] = matrix["links"][row][column]
    except NotAMatrix as error:
        if len(gpus) > 1:
            problems.append({"code": "no_links", "message": _no_links(output, str(error))})
    names = [gpu["index"] for gpu in gpus]
    return [["X" if a == b else found.get((a, b), "NONE") for b in names] for a in names], problems


def _no_links(output: Output, why: str) -> str:
    """What became of `topo -m`, in nvidia-smi's own words."""
    words = " ".join((output.err + " " + output.out).split())[:300]
    said = f"said '{words}'" if words else "printed nothing"
    return f"nvidia-smi topo -m {said} (exit {output.code}): {why}"
