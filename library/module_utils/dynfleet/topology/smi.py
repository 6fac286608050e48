"""GPUs and links by nvidia-smi: the XML of `-q -x` and the matrix of `topo -m`."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from ansible.module_utils.dynfleet.topology import smi_lost, smi_xml
from ansible.module_utils.dynfleet.topology.bounded import Command, Failed, Output
from ansible.module_utils.dynfleet.topology.sysfs import address
from ansible.module_utils.dynfleet.topology.topo_text import NotAMatrix, parse

PROGRAM = "nvidia-smi"
# Where units and sudo may not look, but drivers install it.
SEARCH = "/usr/bin:/usr/local/bin:/usr/local/nvidia/bin:/opt/bin"
# How often the XML is asked for, and seconds between: another nvidia-smi may have garbled it.
ASKED = 3
PAUSE = 0.2


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
    root, query, wrong = _document(path, query, deadline)
    lost = smi_lost.losses(smi_xml.around(query.out), query.err, matrix.out, matrix.err)
    if root is None and not lost:
        raise Failed(wrong)
    gpus = [] if root is None else [_gpu(at, node) for at, node in enumerate(root.findall("gpu"))]
    return {
        "driver": None if root is None else root.findtext("driver_version"),
        "cuda": None if root is None else root.findtext("cuda_version"),
        **_joined(gpus, lost, matrix),
    }


def _document(
    path: str, query: Output, deadline: float
) -> tuple[ElementTree.Element | None, Output, str]:
    """The document, the answer that it is in, and what is wrong where there is no document.

    What cannot be read is asked for again, ASKED times in all, as long as there is time.
    """
    asked = 1
    while True:
        try:
            root = smi_xml.root(query.out)
        except smi_xml.Garbled as error:
            if asked == ASKED or time.monotonic() + PAUSE >= deadline:
                return None, query, f"'{path} -q -x' prints broken XML (asked {asked}x): {error}"
        else:
            said = " ".join((query.err + " " + query.out).split())[:300]
            return root, query, said or f"nvidia-smi -q -x printed nothing (exit {query.code})"
        asked += 1
        time.sleep(PAUSE)
        query = Command([path, "-q", "-x"]).finish(deadline)


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


def _joined(
    gpus: list[dict[str, Any]], lost: Sequence[smi_lost.Loss], output: Output
) -> dict[str, Any]:
    """`gpus`, `links` and `problems`: what `-q -x` and `topo -m` say, put together.

    A link is NONE where the matrix does not hold the pair.
    """
    problems = [
        _problem("gpu_lost", f"nvidia-smi cannot reach GPU {one.name}: {one.why}") for one in lost
    ]
    links, unread = _links(output)
    indices = sorted({index for pair in links for index in pair})
    if unread and len(gpus) > 1:
        problems.append(_problem("no_links", unread))
    found = smi_lost.number(gpus, lost, indices)
    if found is None:
        found, links = gpus, {}
        told = f"nvidia-smi -q -x shows {len(gpus)} GPUs and topo -m {len(indices)}"
        problems.append(_problem("no_links", f"{told}; which is which is not known, so no link is"))
    names = [gpu["index"] for gpu in found]
    matrix = [["X" if a == b else links.get((a, b), "NONE") for b in names] for a in names]
    return {"gpus": found, "links": matrix, "problems": problems}


def _problem(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def _links(output: Output) -> tuple[dict[tuple[int, int], str], str]:
    """Link class by pair of indices as `topo -m` prints them; and why there is none."""
    try:
        matrix = parse(output.out)
    except NotAMatrix as error:
        return {}, _no_links(output, str(error))
    indices = [gpu["index"] for gpu in matrix["gpus"]]
    rows = zip(indices, matrix["links"])
    return {(one, other): link for one, row in rows for other, link in zip(indices, row)}, ""


def _no_links(output: Output, why: str) -> str:
    """What became of `topo -m`, in nvidia-smi's own words."""
    words = " ".join((output.err + " " + output.out).split())[:300]
    said = f"said '{words}'" if words else "printed nothing"
    return f"nvidia-smi topo -m {said} (exit {output.code}): {why}"
