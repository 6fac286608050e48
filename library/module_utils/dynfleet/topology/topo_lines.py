"""Lines of a pasted `nvidia-smi topo -m`: cleaning, headers, rows.

Shapes seen in public captures: escape codes around the header (also with the ESC character
lost), quote marks and comment signs before each line, markdown tables, blanks for tabs, cells
glued together, a header without its leading tab, a blank CPU affinity, an extra `GPU NUMA ID`
column that rows set off with two tabs.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

from ansible.module_utils.dynfleet.topology import cpulist
from ansible.module_utils.dynfleet.topology.links import canonical

# Cells of the `-p2p` tables (nvidia-smi topo -h); U is also printed for an unknown status.
P2P_CELLS = frozenset({"OK", "CNS", "GNS", "TNS", "NS", "DR", "U"})

_ESCAPE = re.compile(r"(?:\x1b|\u241b|\^\[|ESC|\\e|\\x1b|\\033|\\u001b)?\[[0-9;]{0,4}m")
_QUOTE = re.compile(r"^[ \t]*(?:[>#*`]+[ \t]?)+")
_RULE = re.compile(r"[\s|:+-]*")
_GPU = re.compile(r"GPU\d+")
_DEVICE = re.compile(r"(?:NIC\d+|[A-Za-z][A-Za-z0-9]*[-_0-9][A-Za-z0-9_.-]*)")
_GLUED_HEADER = re.compile(r"(?<=\d)(?=GPU\d|NIC\d|mlx\d|CPU A|NUMA A)|(?<=Affinity)(?=NUMA|GPU)")
_GLUED_CELL = re.compile(r"((?:NV[1-9]\d?|SYS|SOC|NODE|PHB|PXB|PIX|X)+)(\d[\d,-]*|N/A)?")
_CELL = re.compile(r"NV[1-9]\d?|SYS|SOC|NODE|PHB|PXB|PIX|X")


class Header(NamedTuple):
    """Names of the columns that are devices, which columns follow them, and where
    `CPU Affinity` starts, in characters behind the first device."""

    devices: tuple[str, ...]
    numa: bool
    gpu_numa_id: bool
    cpu_at: int


class Row(NamedTuple):
    """A device's cells, as printed, and what follows them."""

    label: str
    cells: list[str]
    cpus: str | None
    numa_node: int | None


def clean(line: str) -> str:
    """The line without escape codes, quote marks and table rules."""
    line = html.unescape(_ESCAPE.sub("", line.rstrip("\r\n"))).replace("\u00a0", " ")
    line = _QUOTE.sub("", line)
    if "|" in line:
        line = "" if _RULE.fullmatch(line) else line.replace("|", "\t")
    return line


def header(line: str) -> Header | None:
    """The header of a matrix, None where the line is none."""
    line = _GLUED_HEADER.sub(" ", line)
    first = _GPU.search(line)
    if first is None:
        return None
    devices: list[str] = []
    for word in line[first.start() :].split():
        if word == "CPU" or word in ("NUMA", "GPU"):
            break
        if not (_GPU.fullmatch(word) or _DEVICE.fullmatch(word)) or canonical(word):
            return None
        devices.append(word)
    affinity = "CPU Affinity" in line
    if len(set(devices)) != len(devices) or (len(devices) < 2 and not affinity):
        return None
    cpu_at = line.find("CPU Affinity", first.start()) - first.start()
    return Header(tuple(devices), "NUMA Affinity" in line, "GPU NUMA ID" in line, cpu_at)


def row(line: str, head: Header) -> Row | None:
    """A row of the matrix below `head`, None where the line is none.

    It may hold fewer cells than the header has devices; the caller knows what that means.
    """
    words = list(re.finditer(r"\S+", line))
    for place, word in enumerate(words[:-1]):
        if word.group() in head.devices and _is_cell(words[place + 1].group()):
            break
    else:
        return None
    cells: list[str] = []
    rest = ""
    for following in words[place + 1 :]:
        if len(cells) >= len(head.devices):
            break
        found, tail = _split(following.group())
        cells += found
        rest = tail + line[following.end() :]
        if tail:
            break
    start = len(line) - len(rest) - words[place + 1].start()
    cpus, numa_node = _affinity(rest, start, head)
    return Row(word.group(), cells, cpus, numa_node)


def _is_cell(word: str) -> bool:
    return word in P2P_CELLS or _GLUED_CELL.fullmatch(word) is not None or word.isupper()


def _split(word: str) -> tuple[list[str], str]:
    """The cells in a word and what is glued behind them."""
    match = _GLUED_CELL.fullmatch(word)
    if match is None or word in P2P_CELLS:
        return [word], ""
    return _CELL.findall(match.group(1)), match.group(2) or ""


def _affinity(rest: str, start: int, head: Header) -> tuple[str | None, int | None]:
    """CPU list and NUMA node from what follows the cells; None for what is not said for sure.

    start: where `rest` begins, in characters behind the first cell of the row.
    """
    if "\t" in rest.strip(" "):
        fields = [field.strip() for field in rest.split("\t")]
        fields = fields[1:] if fields and not fields[0] else fields
        cpus, numa = [*fields, "", ""][:2]
        return _cpus(cpus), _node(numa) if head.numa else None
    words = list(re.finditer(r"\S+", rest))
    if head.gpu_numa_id and len(words) > 1:
        words.pop()
    if len(words) >= 2 or not head.numa:
        texts = [word.group() for word in words] + ["", ""]
        return _cpus(texts[0]), _node(texts[1]) if head.numa else None
    if not words:
        return None, None
    # One value for two columns: its place below the header tells which, if blanks were kept.
    text = words[0].group()
    if words[0].start() < 4:
        return (_cpus(text), None) if _wide(text) else (None, None)
    beyond = start + words[0].start() > head.cpu_at + 4
    return (None, _node(text)) if beyond else (_cpus(text), None)


def _wide(text: str) -> bool:
    """Whether a list is too long to be one of NUMA nodes."""
    found = _cpus(text)
    return found is not None and len(cpulist.parse(found)) > 8


def _cpus(text: str) -> str | None:
    try:
        return cpulist.render(cpulist.parse(text)) or None
    except ValueError:
        return None


def _node(text: str) -> int | None:
    """A single NUMA node; a list such as `0-1` or `0,3-9` names none."""
    return int(text) if text.isdigit() else None
