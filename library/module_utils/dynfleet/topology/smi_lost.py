"""GPUs that nvidia-smi cannot reach, and the index of each that it can.

`-q -x` gives PCI addresses without indices, `topo -m` indices without addresses, and a lost GPU
may be missing in either. What names both is the complaint about it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.dynfleet.topology.nvml import UNKNOWN
from ansible.module_utils.dynfleet.topology.sysfs import address

# "...handle for GPU 0000:3B:00.0: Unknown Error", "...for GPU0000:AF:00.0: GPU is lost.  Reboot",
# "...for GPU1: 0000:34:00.0: Unknown Error" (driver 610), "...for gpu 1: GPU requires reset".
_PCI = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")
_INDEX = re.compile(r"\bGPU[ #]*(\d{1,3})\b(?!:[0-9A-Fa-f]{2}:)", re.IGNORECASE)
_LOSS = re.compile(
    r"device handle|is lost|unknown error|off the bus|requires? (?:a )?reset"
    r"|gpu *[0-9a-f]{4,8}:[0-9a-f:.]+\s*: ",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Loss:
    """A GPU that nvidia-smi complains of, by what it says of it, and the words behind that."""

    index: int | None
    pci: str | None
    why: str

    @property
    def name(self) -> str:
        """Index and PCI address, as far as they are known."""
        if self.index is None:
            return str(self.pci)
        return f"{self.index} ({self.pci})" if self.pci else str(self.index)


def losses(*texts: str) -> list[Loss]:
    """GPUs named as out of reach in what nvidia-smi printed beside its answers, each once."""
    found: dict[Any, Loss] = {}
    for line in (line for text in texts for line in text.splitlines()):
        pci, index = _PCI.search(line), _INDEX.search(line)
        if _LOSS.search(line) is None or (pci is None and index is None):
            continue
        end = max(match.end() for match in (pci, index) if match is not None)
        loss = Loss(
            int(index.group(1)) if index else None,
            address(pci.group()) if pci else None,
            line[end:].strip(" \t:)].,") or line.strip(),
        )
        found.setdefault(loss.pci or loss.index, loss)
    return list(found.values())


def number(
    gpus: list[dict[str, Any]], lost: Sequence[Loss], matrix: Sequence[int]
) -> list[dict[str, Any]] | None:
    """The GPUs with their indices, and in index order an entry for each lost one that has one.

    gpus: of the XML, in its order, which is that of the indices; matrix: the indices that `topo -m`
    shows. None where it cannot be told which GPU of the one is which of the other.
    """
    indices = _indices(gpus, lost, matrix)
    if indices is None:
        return None
    numbered = [{**gpu, "index": index} for gpu, index in zip(gpus, indices)]
    taken = set(indices)
    there = {gpu["pci"] for gpu in gpus}
    missing = [loss for loss in lost if loss.pci is None or loss.pci not in there]
    entries = {one.index: one.pci for one in missing if one.index not in taken | {None}}
    nameless = [loss for loss in missing if loss.index is None]
    gaps = set(range(max(taken.union(matrix), default=-1) + 1)) - taken - set(entries)
    # One gap and one complaint without index, or gaps without any complaint.
    if len(gaps) == 1 and len(nameless) == 1:
        entries[gaps.pop()] = nameless[0].pci
    elif not nameless:
        entries.update(dict.fromkeys(gaps))
    for index, pci in entries.items():
        unknown: dict[str, Any] = {**dict.fromkeys(UNKNOWN), "pci": pci, "lost": True, "health": {}}
        numbered.append({"index": index, **unknown})
    return sorted(numbered, key=lambda gpu: int(gpu["index"]))


def _indices(
    gpus: Sequence[dict[str, Any]], lost: Sequence[Loss], matrix: Sequence[int]
) -> list[int] | None:
    """The index of each GPU of the XML."""
    healthy = [place for place, gpu in enumerate(gpus) if not gpu["lost"]]
    there = {gpu["pci"] for gpu in gpus}
    if any(one.pci and one.pci not in there and one.index in matrix for one in lost):
        # As many GPUs in both, and not the same ones: the matrix shows one that the XML lacks.
        return _by_address(gpus, lost, matrix)
    if len(matrix) == len(gpus):
        return list(matrix)
    if matrix and len(matrix) == len(healthy):
        # The XML shows lost GPUs that the matrix leaves out: they have the numbers in between.
        free = iter(index for index in range(len(gpus) + max(matrix) + 1) if index not in matrix)
        shown = iter(matrix)
        return [next(free) if gpu["lost"] else next(shown) for gpu in gpus]
    if not matrix:
        gone = {loss.index for loss in lost if loss.pci not in {gpu["pci"] for gpu in gpus}}
        free = iter(index for index in range(len(gpus) + len(gone)) if index not in gone)
        return [next(free) for _ in gpus]
    return _by_address(gpus, lost, matrix)


def _by_address(
    gpus: Sequence[dict[str, Any]], lost: Sequence[Loss], matrix: Sequence[int]
) -> list[int] | None:
    """The index of each GPU where the matrix shows some that the XML does not.

    Indices follow PCI addresses, and minor numbers do unless something was plugged in later.
    """
    known = sorted({str(gpu["pci"]) for gpu in gpus} | {loss.pci for loss in lost if loss.pci})
    if len(known) == len(matrix):
        return [matrix[known.index(gpu["pci"])] for gpu in gpus]
    rest = [index for index in matrix if index not in {loss.index for loss in lost}]
    if len(rest) == len(gpus):
        return rest
    minors = [gpu["minor"] for gpu in gpus]
    if None not in minors and minors == sorted(set(minors)) and set(minors) <= set(matrix):
        return minors
    return None
