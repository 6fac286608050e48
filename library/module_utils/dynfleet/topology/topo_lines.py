"""Lines of a pasted `nvidia-smi topo -m`: cleaning, headers, rows.

Shapes seen in public captures: escape codes around the header (also with the ESC character
lost), quote marks and comment signs before each line, markdown tables, blanks for tabs, cells
glued together, a header without its leading tab, a blank CPU affinity, an extra `GPU NUMA ID`
column that rows set off with two tabs, underlines of a pager, a terminal's other sequences.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from ansible.module_utils.dynfleet.topology import cpulist
from ansible.module_utils.dynfleet.topology.links import canonical
from ansible.module_utils.dynfleet.topology.topo_nodes import Affinity

# Titles of the columns behind the devices, by generation of nvidia-smi.
TITLES = (
    "CPU Affinity",
    "CPU Affinity NUMA Affinity",
    "CPU Affinity NUMA Affinity GPU NUMA ID",
)
# Cells of the `-p2p` tables (nvidia-smi topo -h); U is also printed for an unknown status.
P2P_CELLS = frozenset({"OK", "CNS", "GNS", "TNS", "NS", "DR", "U"})

_ESCAPE = re.compile(r"(?:\x1b|\u241b|\^\[|ESC|\\e|\\x1b|\\033|\\u001b)?\[[0-9;]{0,4}m")
# Other sequences of terminals (erase, charset, title), and a character struck over another.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()].|\][^\x07\x1b]*(?:\x07|\x1b\\))|.\x08")
_QUOTE = re.compile(r"^[ \t]*(?:[>#*`]+[ \t]?)+")
_RULE = re.compile(r"[\s|:+-]*")
_GPU = re.compile(r"GPU\d+")
_DEVICE = re.compile(r"(?:NIC\d+|[A-Za-z][A-Za-z0-9]*[-_0-9][A-Za-z0-9_.-]*)")
_GLUED_HEADER = re.compile(r"(?<=\d)(?=GPU\d|NIC\d|mlx\d|CPU A|NUMA A)|(?<=Affinity)(?=NUMA|GPU)")
_GLUED_CELL = re.compile(r"((?:NV[1-9]\d?|SYS|SOC|NODE|PHB|PXB|PIX|X)+)(\d[\d,-]*|N/A)?")
_CELL = re.compile(r"NV[1-9]\d?|SYS|SOC|NODE|PHB|PXB|PIX|X")


class Header(NamedTuple):
    """Names of the columns that are devices, titles of those that follow, and where
    `CPU Affinity` starts, in characters behind the first device (negative: nowhere)."""

    devices: tuple[str, ...]
    titles: str
    cpu_at: int

    @property
    def numa(self) -> bool:
        """Whether there is a column of NUMA nodes."""
        return "NUMA Affinity" in self.titles

    @property
    def gpu_numa_id(self) -> bool:
        """Whether there is a column of the nodes that GPUs' memory is."""
        return "GPU NUMA ID" in self.titles

    @property
    def whole(self) -> bool:
        """Whether the titles are those that some nvidia-smi prints, with nothing cut off."""
        return self.titles in TITLES


class Row(NamedTuple):
    """A device's cells, as printed, and what follows them."""

    label: str
    cells: list[str]
    affinity: Affinity
    rest: str

    @property
    def surplus(self) -> bool:
        """Whether more cells follow than the header has devices."""
        return canonical((self.rest.split() or [""])[0]) is not None


def clean(line: str) -> str:
    """The line without escape codes, quote marks and table rules."""
    line = _TERMINAL.sub("", _ESCAPE.sub("", line.rstrip("\r\n")))
    line = html.unescape(line).replace("\u00a0", " ")
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
    words = line[first.start() :].split()
    for word in words:
        if word in ("CPU", "NUMA", "GPU"):
            break
        if not is_device(word):
            return None
        devices.append(word)
    titles = " ".join(words[len(devices) :])
    cpu_at = line.find("CPU Affinity", first.start())
    if len(set(devices)) != len(devices) or (len(devices) < 2 and cpu_at < 0):
        return None
    return Header(tuple(devices), titles, cpu_at - first.start())


def is_gpu(word: str) -> bool:
    """Whether a word names a GPU."""
    return _GPU.fullmatch(word) is not None


def is_cells(word: str) -> bool:
    """Whether a word is a cell, several ones glued together, or cells with a list behind."""
    return _GLUED_CELL.fullmatch(word) is not None


def is_device(word: str) -> bool:
    """Whether a word can name a GPU or a network device."""
    return _DEVICE.fullmatch(word) is not None and canonical(word) is None


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
    return Row(word.group(), cells, _affinity(rest, start, head), rest)


def unnamed(line: str, head: Header) -> str | None:
    """The device whose row this is although the header does not name it; None for other lines."""
    words = line.split()
    for place, word in enumerate(words[:-2]):
        cells = words[place + 1 : place + 3]
        if is_device(word) and word not in head.devices and all(map(canonical, cells)):
            return word
    return None


def _is_cell(word: str) -> bool:
    return word in P2P_CELLS or is_cells(word) or word.isupper()


def _split(word: str) -> tuple[list[str], str]:
    """The cells in a word and what is glued behind them."""
    match = _GLUED_CELL.fullmatch(word)
    if match is None or word in P2P_CELLS:
        return [word], ""
    return _CELL.findall(match.group(1)), match.group(2) or ""


def _affinity(rest: str, start: int, head: Header) -> Affinity:
    """What follows the cells; None for what is not said for sure.

    start: where `rest` begins, in characters behind the first cell of the row.
    """
    if "\t" in rest.strip(" "):
        fields = [field.strip() for field in rest.split("\t")]
        cpus, *fields = fields[1:] if not fields[0] else fields
        numa = fields.pop(0) if head.numa and fields else ""
        return _read(cpus, numa, [field for field in fields if field], head)
    words = list(re.finditer(r"\S+", rest))
    last = [words.pop().group()] if head.gpu_numa_id and len(words) > 1 else []
    if len(words) >= 2 or not head.numa:
        cpus, *fields = [word.group() for word in words] or [""]
        numa = fields.pop(0) if head.numa else ""
        return _read(cpus, numa, fields + last, head)
    if not words:
        return Affinity()
    # One value for two columns: its place below the header tells which, if blanks were kept.
    text = words[0].group()
    if words[0].start() < 4:
        return Affinity(cpus=_list(text)) if _wide(text) else Affinity()
    beyond = start + words[0].start() > head.cpu_at + 4
    return Affinity(numa=_list(text)) if beyond else Affinity(cpus=_list(text))


def _read(cpus: str, numa: str, more: Sequence[str], head: Header) -> Affinity:
    """The affinity in the texts of the columns; `more` is what follows the nodes."""
    texts = [cpus, *([numa] if head.numa else []), *more]
    columns = 1 + head.numa + head.gpu_numa_id
    return Affinity(
        cpus=_list(cpus),
        numa=_list(numa),
        gpu_memory=int(more[0]) if head.gpu_numa_id and more and more[0].isdigit() else None,
        whole=len(texts) == columns and all(text == "N/A" or _list(text) for text in texts),
    )


def _wide(text: str) -> bool:
    """Whether a list is too long to be one of NUMA nodes."""
    found = _list(text)
    return found is not None and len(cpulist.parse(found)) > 8


def _list(text: str) -> str | None:
    """A list of CPUs or of nodes in its shortest form, None where the text is none."""
    try:
        return cpulist.render(cpulist.parse(text)) or None
    except ValueError:
        return None
