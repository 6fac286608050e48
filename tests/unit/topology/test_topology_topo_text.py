"""The reader of `nvidia-smi topo -m`: shapes that pasted captures really have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.topology.links import canonical
from ansible.module_utils.dynfleet.topology.topo_text import NotAMatrix, parse
from topology_captures import AFFINITY, FOUR, GPUS, LEGEND, NVLINK_LEGEND, PLAIN, matrix

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "topology"
MACHINES = [json.loads(line) for line in (FIXTURES / "machines.jsonl").read_text().splitlines()]
CPUS = ["0-15,32-47", "0-15,32-47", "16-31,48-63", "16-31,48-63"]


def seen(text: str) -> tuple[Any, list[Any], list[Any]]:
    """Links, NUMA nodes and CPU lists of a text."""
    found = parse(text)
    gpus = found["gpus"]
    return found["links"], [gpu["numa_node"] for gpu in gpus], [gpu["cpus"] for gpu in gpus]


def assert_plain(text: str) -> None:
    assert seen(text) == (FOUR, [0, 0, 1, 1], CPUS)


def test_plain() -> None:
    assert_plain(PLAIN)
    assert parse(PLAIN)["problems"] == []


@pytest.mark.parametrize("machine", MACHINES, ids=[one["id"] for one in MACHINES])
def test_every_real_machine_as_nvidia_smi_prints_it(machine: dict[str, Any]) -> None:
    labels = [f"GPU{index}" for index in range(machine["gpus"])]
    numa = machine["numa"] or [None] * machine["gpus"]
    affinity = [f"\t0-15\t{'N/A' if node is None else node}\t\tN/A" for node in numa]
    links, nodes, _ = seen(matrix(machine["links"], labels, affinity) + LEGEND + NVLINK_LEGEND)
    assert links == [[canonical(cell) for cell in row] for row in machine["links"]]
    assert nodes == numa


@pytest.mark.parametrize(
    ("before", "after"),
    [("\x1b[4m", "\x1b[0m"), ("[4m", "[0m"), ("^[[4m", "^[[0m"), ("ESC[4m", "ESC[0m")],
)
def test_escape_codes_in_the_header(before: str, after: str) -> None:
    head, rest = PLAIN.split("\n", 1)
    assert_plain(f"\t{before}{head.strip()}{after}\n{rest}")


def test_header_without_its_leading_tab() -> None:
    assert_plain(PLAIN.lstrip())


def test_blanks_for_tabs() -> None:
    assert_plain(PLAIN.expandtabs())


def test_without_the_gpu_numa_id_column() -> None:
    affinity = [tail[: tail.index("\t\t")] for tail in AFFINITY]
    columns = "\tCPU Affinity\tNUMA Affinity"
    assert_plain(matrix(FOUR, GPUS, affinity, columns))


def test_old_captures_without_any_numa_column() -> None:
    affinity = [tail.split("\t0\t")[0].split("\t1\t")[0] for tail in AFFINITY]
    assert_plain(matrix(FOUR, GPUS, affinity, "\tCPU Affinity"))


@pytest.mark.parametrize("blank", ["", "N/A"])
def test_blank_cpu_affinity(blank: str) -> None:
    text = matrix(FOUR, GPUS, [f"\t{blank}\t{node}\t\tN/A" for node in (0, 0, 1, 1)])
    assert seen(text) == (FOUR, [0, 0, 1, 1], [None] * 4)


def test_blank_cpu_affinity_with_blanks_for_tabs() -> None:
    text = matrix(FOUR, GPUS, [f"\t\t{node}\t\tN/A" for node in (0, 0, 1, 1)]).expandtabs()
    assert seen(text) == (FOUR, [0, 0, 1, 1], [None] * 4)


def test_one_value_for_two_columns_is_not_guessed() -> None:
    """Blanks collapsed and one value: `0-1` may be CPUs or nodes, `0-63` can be CPUs only."""
    text = matrix(FOUR, GPUS, [" 0-1", " 0-63", " 0", " 0-1"]).replace("\t", " ")
    assert seen(text) == (FOUR, [None] * 4, [None, "0-63", None, None])


@pytest.mark.parametrize(
    ("numa", "node"), [("0", 0), ("0-1", None), ("0,3-9", None), ("N/A", None)]
)
def test_numa_affinity(numa: str, node: int | None) -> None:
    text = matrix(FOUR, GPUS, [f"\t0-15\t{numa}\t\tN/A"] * 4)
    assert seen(text)[1] == [node] * 4


@pytest.mark.parametrize(
    "names",
    [
        ("NIC0", "NIC1"),
        ("mlx5_0", "mlx5_bond_0"),
        ("ibp25s0", "rdmap16s27"),
        ("bnxt_re0", "hfi1_0"),
    ],
)
def test_network_rows_and_columns(names: tuple[str, str]) -> None:
    cells = [[*row, "PIX", "NODE"] for row in FOUR]
    cells += [["PIX"] * 4 + ["X", "SYS"], ["NODE"] * 4 + ["SYS", "X"]]
    found = parse(matrix(cells, [*GPUS, *names], [*AFFINITY, "\t\t\t\t", "\t\t\t\t"]))
    assert found["links"] == FOUR
    assert [device["name"] for device in found["network"]] == list(names)
    assert found["network"][1]["distance"] == ["NODE"] * 4


def test_network_devices_get_their_names_from_the_legend() -> None:
    cells = [[*row, "PIX"] for row in FOUR]
    text = matrix(cells, [*GPUS, "NIC0"], AFFINITY) + "\nNIC Legend:\n\n  NIC0: mlx5_7\n"
    assert parse(text)["network"][0]["name"] == "mlx5_7"


def test_network_columns_between_gpus() -> None:
    cells = [[*row[:2], "PHB", *row[2:]] for row in FOUR]
    cells.insert(2, ["PHB", "PHB", "X", "PHB", "PHB"])
    found = parse(
        matrix(cells, ["GPU0", "GPU1", "mlx4_0", "GPU2", "GPU3"], columns="\tCPU Affinity")
    )
    assert found["links"] == FOUR


def test_soc_is_sys() -> None:
    assert_plain(PLAIN.replace("SYS", "SOC"))


@pytest.mark.parametrize("mark", ["> ", ">> ", "# ", "| ", "    ", "\t", "* "])
def test_quoted_or_indented(mark: str) -> None:
    assert_plain("".join(mark + line for line in PLAIN.splitlines(keepends=True)))


def test_markdown_table() -> None:
    lines = [
        "| " + " | ".join(line.split("\t")) + " |"
        for line in matrix(
            FOUR, GPUS, [tail.replace("\t\t", "\t") for tail in AFFINITY]
        ).splitlines()
    ]
    lines.insert(1, "|" + "---|" * 8)
    assert_plain("\n".join(lines))


def test_blank_lines_between_rows_and_words_around() -> None:
    spaced = matrix(FOUR, GPUS, AFFINITY).replace("\n", "\n\n")
    assert_plain(f"$ nvidia-smi topo -m\n{spaced}\nGPU0 and GPU1 share a bridge, GPU2 does not.\n")


def test_glued_cells_and_glued_affinity() -> None:
    text = PLAIN.replace("SYS\tSYS", "SYSSYS").replace("SYS\t0-15", "SYS0-15")
    assert_plain(text)


def test_windows_line_ends_and_html() -> None:
    assert_plain(PLAIN.replace("\n", "\r\n").replace(" X ", "&nbsp;X&nbsp;"))


def test_one_gpu() -> None:
    for text in (
        "\tGPU0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\nGPU0\t X \t0-15\t0\t\tN/A\n",
        "node7: GPU0 CPU Affinity NUMA Affinity\nnode7: GPU0 X 0-15 0\n",
    ):
        assert seen(text) == ([["X"]], [0], ["0-15"])


def test_index_gaps() -> None:
    labels = ["GPU0", "GPU2", "GPU5", "GPU7"]
    found = parse(matrix(FOUR, labels, AFFINITY))
    assert [gpu["index"] for gpu in found["gpus"]] == [0, 2, 5, 7]


def test_the_same_matrix_twice() -> None:
    assert_plain(PLAIN + "\n" + PLAIN)
    assert parse(PLAIN + "\n" + PLAIN)["problems"] == []


def test_two_matrices_that_differ() -> None:
    other = PLAIN.replace("NV4", "NV2")
    assert_plain(PLAIN + other)
    (problem,) = parse(PLAIN + other)["problems"]
    assert problem["code"] == "several_matrices"
    assert "the one of line 1 was read" in problem["message"]


PCI_ONLY = (
    matrix([[c.replace("NV4", "NODE") for c in row] for row in FOUR], GPUS, AFFINITY) + LEGEND
)
P2P = matrix([["X" if c == "X" else "OK" for c in row] for row in FOUR], GPUS, columns="\t")


def test_mp_hides_nvlink() -> None:
    found = parse(PCI_ONLY)
    assert found["links"][0][1] == "NODE"
    assert [problem["code"] for problem in found["problems"]] == ["nvlink_hidden"]


@pytest.mark.parametrize("text", [PCI_ONLY + PLAIN, PLAIN + PCI_ONLY])
def test_m_is_taken_before_mp(text: str) -> None:
    assert_plain(text)
    assert parse(text)["problems"] == []


def test_p2p_table_beside_the_matrix() -> None:
    assert_plain(P2P + "\nLegend:\n  OK = Status Ok\n\n" + PLAIN)
    assert_plain(PLAIN + "\n" + P2P)


def refusal(text: str) -> str:
    with pytest.raises(NotAMatrix) as caught:
        parse(text)
    return str(caught.value)


def test_p2p_table_alone() -> None:
    assert refusal(P2P).startswith("line 1 starts a table of P2P capabilities ('topo -p2p')")


def test_truncated_rows() -> None:
    text = "\n".join(PLAIN.splitlines()[:4])
    assert refusal(text) == (
        "truncated: the header in line 1 names 4 GPUs, there is no row for GPU3"
    )


def test_truncated_cells() -> None:
    assert refusal(matrix([row[:3] for row in FOUR], GPUS)) == (
        "truncated: the row of GPU0 has 3 of 4 cells"
    )


def test_asymmetric() -> None:
    rows = [list(row) for row in FOUR]
    rows[1][0] = "SYS"
    assert refusal(matrix(rows, GPUS, AFFINITY)) == (
        "asymmetric: GPU0 to GPU1 is NV4, GPU1 to GPU0 is SYS"
    )


def test_diagonal() -> None:
    rows = [list(row) for row in FOUR]
    rows[2][2] = "PIX"
    assert refusal(matrix(rows, GPUS)) == "GPU2 to GPU2 is 'PIX': X stands on the diagonal only"


@pytest.mark.parametrize(("cell", "vendor"), [("XGMI", "AMD"), ("HCCS", "Huawei"), ("MX", "MetaX")])
def test_another_vendors_matrix(cell: str, vendor: str) -> None:
    text = matrix([["X" if c == "X" else cell for c in row] for row in FOUR], GPUS)
    assert vendor in refusal(text)


def test_an_unknown_word() -> None:
    assert refusal(PLAIN.replace("NV4", "QPI")) == "GPU0 to GPU1 is 'QPI': no link class"


def test_rocm_text() -> None:
    text = "=== ROCm System Management Interface ===\nGPU[0]\t: (Topology) Numa Node: 0\n"
    assert refusal(text) == "a topology of AMD, not of nvidia-smi"


@pytest.mark.parametrize("text", ["", "hello", "GPU0\n", "\tGPU0\tGPU1\n"])
def test_no_matrix(text: str) -> None:
    assert refusal(text).startswith("no matrix of 'nvidia-smi topo -m'")
