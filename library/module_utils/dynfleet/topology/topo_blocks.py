"""The matrices in a text: each header with its rows, also where long lines were folded.

A terminal, an editor or a mail folds a line at some width, within a word or between two. A piece
that goes on is known by its words: it has no name of a row in front, and nothing but device names
and titles (of a header) or cells and lists (of a row). Pieces are put together with and without
a blank; what fits in every column is taken.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.topology.links import SELF, canonical
from ansible.module_utils.dynfleet.topology.topo_lines import (
    P2P_CELLS,
    TITLES,
    Header,
    Row,
    clean,
    header,
    is_cells,
    is_device,
    is_gpu,
    row,
)

GLUES = ("", " ")
NOT_ONE = "line {} goes on in the next one, and they make no {}"
_SOFT_BREAK = re.compile(r"=[ \t]*\r?\n")
_LIST = re.compile(r"[\d,-]+")
# NV#, cut anywhere.
_NVLINK = re.compile(r"N?V?\d{1,2}|NV")
_CELLS = ("NODE", "SYS", "SOC", "PHB", "PXB", "PIX", "X", "N/A")
_TITLE_WORDS = frozenset(" ".join(TITLES).split())


class Line(NamedTuple):
    """A cleaned line that is not blank, and its number in the text."""

    number: int
    text: str


class Unfit(Exception):
    """Pieces of folded lines do not make lines; `line` is where, 0 where that is not known."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.line = line


@dataclass
class Block:
    """One matrix of a text: its header, its rows, the lines after them."""

    line: int
    head: Header
    rows: dict[str, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    folded_head: bool = False
    folded_rows: set[str] = field(default_factory=set)

    @property
    def folded(self) -> bool:
        """Whether lines were put together for it."""
        return self.folded_head or bool(self.folded_rows)

    @property
    def folded_throughout(self) -> bool:
        """Whether its header or all rows of GPUs were folded, if any line was."""
        gpus = {label for label in self.rows if is_gpu(label)}
        return self.folded_head or not self.folded_rows or gpus <= self.folded_rows

    @property
    def is_p2p(self) -> bool:
        """Whether it is a table of P2P capabilities."""
        return any(cell in P2P_CELLS for found in self.rows.values() for cell in found.cells)

    @property
    def hides_nvlink(self) -> bool:
        """Whether its legend is that of `-mp`, which explains PIX but no NV#."""
        text = "\n".join(self.notes)
        return "PIX" in text and "NV#" not in text


def blocks(text: str) -> list[Block]:
    """Every matrix of a text, folded or not. Raises Unfit where pieces do not fit."""
    found = lines(text)
    as_it_stands = plain(found)
    readings: list[list[Block]] = []
    worst = Unfit("the lines do not make whole rows")
    for glue in GLUES:
        try:
            reading = unfolded(found, glue)
        except Unfit as error:
            # The better of two readings gets farther.
            worst = error if error.line > worst.line else worst
            continue
        if not any(block.folded for block in reading):
            return as_it_stands
        readings.append(reading)
    fitting = [reading for reading in readings if _whole(reading)]
    if not all(block.folded_throughout for reading in fitting for block in reading) or not fitting:
        # What seems to go on may be a stray word below a matrix that is whole without it.
        fitting += [as_it_stands] if _whole(as_it_stands) else []
    if not fitting or any(_content(one) != _content(fitting[0]) for one in fitting):
        raise worst
    return fitting[0]


def _whole(found: Sequence[Block]) -> bool:
    """Whether each matrix has all columns in all rows; at least one has to be there."""
    matrices = [block for block in found if block.rows and not block.is_p2p]
    return bool(matrices) and all(
        block.head.whole and all(fits(one, block.head) for one in block.rows.values())
        for block in matrices
    )


def _content(found: Sequence[Block]) -> list[tuple[Any, ...]]:
    """What matrices say, whatever blanks are between."""
    return [
        (block.head.devices, [(one.cells, one.affinity) for one in block.rows.values()])
        for block in found
        if block.rows
    ]


def lines(text: str) -> list[Line]:
    """The lines of a text, without what mail and terminals put around them."""
    if _SOFT_BREAK.search(text):  # quoted-printable: no line of nvidia-smi ends with "="
        text = quopri.decodestring(text.encode()).decode("utf-8", "replace")
    found = [Line(number, clean(raw)) for number, raw in enumerate(text.splitlines(), 1)]
    return [line for line in found if line.text.strip()]


def plain(found: Sequence[Line]) -> list[Block]:
    """Every matrix of the lines as they stand."""
    blocks: list[Block] = []
    for line in found:
        head = header(line.text)
        if head is not None:
            blocks.append(Block(line.number, head))
        elif blocks:
            _add(blocks[-1], row(line.text, blocks[-1].head), line.text)
    return blocks


def _add(block: Block, found: Row | None, text: str) -> None:
    """A row to the block, or a note: also a row that there is already."""
    if found is not None and found.label not in block.rows:
        block.rows[found.label] = found
    else:
        block.notes.append(text)


def unfolded(found: Sequence[Line], glue: str) -> list[Block]:
    """Every matrix of the lines, with pieces of a header put together by `glue` and those of a
    row by whatever makes it fit. Raises Unfit."""
    blocks: list[Block] = []
    at = 0
    while at < len(found):
        line = found[at]
        pieces = [line.text]
        if opens_header(line.text):
            pieces += _following(found[at + 1 :], _goes_on_header)
            head = header(glue.join(pieces))
            if head is None and len(pieces) > 1:
                raise Unfit(NOT_ONE.format(line.number, "header"), line.number)
            if head is not None:
                blocks.append(Block(line.number, head, folded_head=len(pieces) > 1))
        elif blocks:
            block = blocks[-1]
            first = row(line.text, block.head)
            if first is not None:
                pieces += _following(found[at + 1 :], _goes_on_row)
            if len(pieces) > 1:
                first = _fitting(pieces, line.number, block.head)
                block.folded_rows.add(first.label)
            _add(block, first, line.text)
        at += len(pieces)
    return blocks


def _following(found: Sequence[Line], goes_on: Callable[[str], bool]) -> list[str]:
    """The texts of the lines that go on with the one before them."""
    pieces = []
    for line in found:
        if not goes_on(line.text):
            break
        pieces.append(line.text)
    return pieces


def opens_header(text: str) -> bool:
    """Whether a line starts a header; its last word may be cut through."""
    words = text.split()
    names = [word for word in words[:-1] if is_device(word) or word in _TITLE_WORDS]
    return header(text) is not None or (
        len(words) > 2 and len(names) == len(words) - 1 and words[0].startswith("GPU")
    )


def _goes_on_header(text: str) -> bool:
    """Whether a line holds names of devices and titles only; the outer words may be cut."""
    words = text.split()
    last = len(words) - 1
    return all(
        canonical(word) is None
        and (
            is_device(word)
            or word in _TITLE_WORDS
            or (place in (0, last) and any(word in title for title in _TITLE_WORDS))
            or (place == 0 and re.fullmatch(r"\w*\d[\w.-]*", word) is not None)
            or (0 < place == last and word.isalpha())
        )
        for place, word in enumerate(words)
    )


def _goes_on_row(text: str) -> bool:
    """Whether a line holds cells and lists only; any of its words may be cut."""
    return all(
        _LIST.fullmatch(word)
        or _NVLINK.fullmatch(word)
        or is_cells(word)
        or any(word in cell for cell in _CELLS)
        for word in text.split()
    )


def _fitting(pieces: Sequence[str], number: int, head: Header) -> Row:
    """The one row that the pieces make. Raises Unfit."""
    found = [row(text, head) for text in _joined(pieces)]
    fitting = [one for one in found if one is not None and fits(one, head)]
    if not fitting or any((one.cells, one.affinity) != fitting[0][1:3] for one in fitting):
        raise Unfit(NOT_ONE.format(number, "row"), number)
    return fitting[0]


def _joined(pieces: Sequence[str]) -> list[str]:
    """All ways to put pieces together, each cut within a word or between two."""
    texts = [pieces[0]]
    for piece in pieces[1:]:
        within = [text + piece for text in texts if _is_word(text, piece)]
        texts = within + [f"{text} {piece}" for text in texts]
    return texts


def _is_word(text: str, piece: str) -> bool:
    """Whether what meets where two pieces touch can be one word of a row, or there is a blank."""
    if text[-1:].isspace() or piece[:1].isspace():
        return True
    word = text.rsplit(maxsplit=1)[-1] + piece.split(maxsplit=1)[0]
    return canonical(word) is not None or word == "N/A" or _LIST.fullmatch(word) is not None


def fits(found: Row, head: Header) -> bool:
    """Whether a row has what the header names: all cells, and behind a GPU's all columns."""
    return (
        len(found.cells) == len(head.devices)
        and all(
            canonical(cell) is not None and (cell == SELF) == (device == found.label)
            for cell, device in zip(found.cells, head.devices)
        )
        and (found.affinity.whole if is_gpu(found.label) else not found.rest.strip())
    )
