"""Captures that a terminal, an editor or a mail has folded or cut off at some width."""

from __future__ import annotations

import quopri
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.dynfleet.topology.topo_text import NotAMatrix, parse
from topology_captures import FOUR, LEGEND, NVLINK_LEGEND, matrix

NAMES = ("GPU0", "GPU1", "GPU10", "GPU11", "mlx5_0", "mlx5_bond_0", "ibp25s0")
ALL_COLUMNS = "\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID"


def capture(names: tuple[str, ...], tails: list[str], columns: str) -> str:
    """Four GPUs and the network devices behind them, blanks for tabs as terminals copy them."""
    cells = [[*row, *["PIX", "NODE", "SYS"][: len(names) - 4]] for row in FOUR]
    for place, cell in zip(range(4, len(names)), ("PIX", "NODE", "SYS")):
        others = ["X" if other == place else "PHB" for other in range(4, len(names))]
        cells.append([cell] * 4 + others)
    tails = tails + ["\t\t\t\t"] * (len(names) - 4)
    return (matrix(cells, names, tails, columns) + LEGEND + NVLINK_LEGEND).expandtabs()


CAPTURES = {
    "all-columns": capture(
        NAMES, ["\t0-15,32-47\t0\t\tN/A"] * 2 + ["\t16-31,48-63\t10\t\tN/A"] * 2, ALL_COLUMNS
    ),
    "lists": capture(
        NAMES, ["\t0-71\t0,2-17\t\t2"] * 2 + ["\t72-143\t1,18-33\t\t18"] * 2, ALL_COLUMNS
    ),
    "no-numa": capture(NAMES, ["\t0-15,32-47"] * 2 + ["\t16-31,48-63"] * 2, "\tCPU Affinity"),
    "gpus-only": capture(
        NAMES[:4], ["\t0-15\t0"] * 2 + ["\t16-31\t1"] * 2, "\tCPU Affinity\tNUMA Affinity"
    ),
}


def at_the_width(text: str, width: int) -> str:
    """As a terminal folds: within words."""
    return "".join(
        line[start : start + width] + "\n"
        for line in text.splitlines()
        for start in range(0, max(len(line), 1), width)
    )


def without_line_ends(text: str, width: int) -> str:
    """The same after an editor that removes blanks at line ends."""
    return "".join(line.rstrip() + "\n" for line in at_the_width(text, width).splitlines())


def between_words(text: str, width: int) -> str:
    """As a mail program folds."""
    wrap = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return "\n".join("\n".join(wrap.wrap(line)) for line in text.splitlines())


def quoted(text: str, width: int) -> str:
    """Folded by a terminal, then quoted in an answer, with DOS line ends and a prompt before."""
    folded = "root@gpu1:~# nvidia-smi topo -m\n" + at_the_width(text, width)
    return "".join(f"> {line}\r\n" for line in folded.splitlines())


@pytest.mark.parametrize("fold", [at_the_width, between_words, quoted])
@pytest.mark.parametrize("name", CAPTURES)
def test_a_folded_capture_is_read_like_the_whole_one(
    name: str, fold: Callable[[str, int], str]
) -> None:
    text = CAPTURES[name]
    whole = parse(text)
    for width in range(40, max(map(len, text.splitlines())) + 1):
        assert parse(fold(text, width)) == whole, f"folded at {width}"


@pytest.mark.parametrize("name", CAPTURES)
def test_a_fold_that_leaves_two_readings_is_refused(name: str) -> None:
    """Blanks at line ends are gone, so a word may go on or end there: never a wrong reading."""
    text = CAPTURES[name]
    whole = parse(text)
    same = 0
    for width in range(40, max(map(len, text.splitlines())) + 1):
        try:
            found = parse(without_line_ends(text, width))
        except NotAMatrix as error:
            assert str(error).startswith("folded or cut off: ")
            continue
        assert found == whole, f"folded at {width}"
        same += 1
    assert same > 20


def sockets(found: dict[str, Any]) -> list[tuple[str, bool]]:
    """The CPUs of each GPU, and whether it is on the first one's node, whatever its number is."""
    gpus = found["gpus"]
    return [(gpu["cpus"], gpu["numa_node"] == gpus[0]["numa_node"]) for gpu in gpus]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_cut_off_at_the_right_is_never_read_without_a_word(name: str) -> None:
    text = CAPTURES[name]
    whole = parse(text)
    for width in range(12, max(map(len, text.splitlines()))):
        found: dict[str, Any] | None = None
        try:
            found = parse("".join(line[:width] + "\n" for line in text.splitlines()))
        except NotAMatrix:
            continue
        if found["problems"]:
            assert found["problems"][0]["code"] == "cut_off"
        else:
            assert sockets(found) == sockets(whole), width
            assert found["network"] == whole["network"], width


def test_a_mail_in_quoted_printable() -> None:
    text = CAPTURES["all-columns"]
    assert parse(quopri.encodestring(text.encode()).decode()) == parse(text)


def refusal(text: str) -> str:
    with pytest.raises(NotAMatrix) as caught:
        parse(text)
    return str(caught.value)


def test_pieces_that_are_missing_are_said() -> None:
    lines = at_the_width(CAPTURES["all-columns"], 30).splitlines()
    record = "Record it as printed: nvidia-smi topo -m > topo.txt"
    row = next(place for place, line in enumerate(lines) if line.startswith("GPU1 "))
    middle = "\n".join(lines[: row + 1] + lines[row + 2 :])
    assert refusal(middle) == (
        f"folded or cut off: line {row + 1} goes on in the next one, and they make no row. {record}"
    )
    all_but_the_first = "\n".join(lines[: row + 1] + lines[row + 4 :])
    told = refusal(all_but_the_first)
    assert told.startswith("folded or cut off: ")
    assert told.endswith(record)


def test_rows_of_gpus_that_the_header_does_not_name() -> None:
    text = CAPTURES["gpus-only"].replace("GPU10   GPU11   ", "", 1)
    assert refusal(text).startswith("folded or cut off: there are rows for GPU10, GPU11, which")


def test_more_cells_than_devices() -> None:
    text = CAPTURES["gpus-only"].replace("0-15 ", "PIX   0-15 ")
    assert "GPU0 has more cells than the header names devices (4)" in refusal(text)


@pytest.mark.parametrize("word", ["SYS", "N/A SYS", "0,1,2,3 4 5"])
def test_a_word_below_a_whole_matrix_is_no_piece_of_it(word: str) -> None:
    text = CAPTURES["gpus-only"].split("\nLegend")[0].replace("  1\n", "  1-2\n")
    assert parse(text + f"\n{word}\n") == parse(text)


def test_a_word_below_a_whole_matrix_that_could_be_a_piece_is_not_guessed() -> None:
    text = CAPTURES["gpus-only"].split("\nLegend")[0]
    assert "the lines do not make whole rows" in refusal(text + "\n0\n")
