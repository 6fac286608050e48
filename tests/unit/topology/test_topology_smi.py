"""Answers of nvidia-smi that are not as they should be: garbled XML, GPUs that are lost.

nvidia-smi is a fake here (see topology_hosts): no GPU is at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.topology import gpus, nvml, smi, smi_lost, smi_xml
from topology_captures import AFFINITY, FOUR, GPUS, PLAIN, matrix
from topology_hosts import PCIS, UUIDS, fake_smi, gpu_xml, pci_device, query_xml

ALL = [gpu_xml(index) for index in range(4)]
WITHOUT_1 = [ALL[0], *ALL[2:]]


def pick(labels: list[str], rows: list[int]) -> str:
    """The matrix of some of the four GPUs under these labels."""
    cells = [[FOUR[a][b] for b in rows] for a in rows]
    return matrix(cells, labels, [AFFINITY[row] for row in rows])


KEPT = pick(["GPU0", "GPU2", "GPU3"], [0, 2, 3])
COUNTED_ANEW = pick(["GPU0", "GPU1", "GPU2"], [0, 2, 3])


@pytest.fixture(autouse=True)
def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "available", lambda: False)


def read(
    monkeypatch: pytest.MonkeyPatch, root: Path, query: str, topo: str = PLAIN
) -> dict[str, Any]:
    script = fake_smi(root, query, topo)
    monkeypatch.setattr(smi, "program", lambda: str(script))
    return gpus.read(5, root)


def link(found: dict[str, Any], one: str, other: str) -> str:
    """The link between two GPUs by UUID."""
    uuids = [gpu["uuid"] for gpu in found["gpus"]]
    return str(found["links"][uuids.index(one)][uuids.index(other)])


def said(form: str, index: int = 1) -> str:
    return f"Unable to determine the device handle for {form.format(index, PCIS[index])}\n"


FORMS = [
    "GPU{}: {}: Unknown Error",
    "GPU{}: 0000{}: Unknown Error",
    "GPU {}: {}: GPU is lost.  Reboot the system to recover this GPU",
    "gpu {} ({}): Unknown Error",
    "GPU{}: Unknown Error",
    "GPU {}: GPU requires reset",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("topo", [KEPT, PLAIN], ids=["not-in-the-matrix", "in-the-matrix"])
def test_a_lost_gpu_with_its_index(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str, topo: str
) -> None:
    found = read(monkeypatch, tmp_path, said(form) + query_xml(WITHOUT_1), topo)
    assert found["status"] == "degraded"
    assert [(gpu["index"], gpu["uuid"], gpu["lost"]) for gpu in found["gpus"]] == [
        (0, UUIDS[0], False),
        (1, None, True),
        (2, UUIDS[2], False),
        (3, UUIDS[3], False),
    ]
    assert link(found, UUIDS[2], UUIDS[3]) == "NV4"
    assert link(found, UUIDS[0], UUIDS[2]) == "SYS"
    (problem,) = found["problems"]
    assert problem["code"] == "gpu_lost"
    name = f"1 ({PCIS[1]})" if form.count("{}") == 2 else "1"
    assert problem["message"].startswith(f"nvidia-smi cannot reach GPU {name}: ")


@pytest.mark.parametrize("form", ["GPU {1}: Unknown Error", "GPU{1}: GPU is lost."])
@pytest.mark.parametrize("topo", [KEPT, PLAIN])
def test_a_lost_gpu_with_its_address_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str, topo: str
) -> None:
    found = read(monkeypatch, tmp_path, said(form) + query_xml(WITHOUT_1), topo)
    assert [(gpu["index"], gpu["pci"]) for gpu in found["gpus"]] == list(enumerate(PCIS))
    assert [gpu["lost"] for gpu in found["gpus"]] == [False, True, False, False]
    assert link(found, UUIDS[2], UUIDS[3]) == "NV4"


def test_the_others_are_counted_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then the lost one has no index any more: its address is in the problem."""
    lost = said("GPU {1}: Unknown Error")
    found = read(monkeypatch, tmp_path, lost + query_xml(WITHOUT_1), COUNTED_ANEW)
    assert [(gpu["index"], gpu["uuid"]) for gpu in found["gpus"]] == [
        (0, UUIDS[0]),
        (1, UUIDS[2]),
        (2, UUIDS[3]),
    ]
    assert link(found, UUIDS[2], UUIDS[3]) == "NV4"
    assert PCIS[1] in found["problems"][0]["message"]


@pytest.mark.parametrize("topo", [KEPT, PLAIN])
def test_a_gpu_that_is_missing_without_a_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, topo: str
) -> None:
    found = read(monkeypatch, tmp_path, query_xml(WITHOUT_1), topo)
    assert [(gpu["index"], gpu["lost"]) for gpu in found["gpus"]] == [
        (0, False),
        (1, True),
        (2, False),
        (3, False),
    ]
    assert link(found, UUIDS[2], UUIDS[3]) == "NV4"
    assert [one["message"] for one in found["problems"]] == [
        "the driver does not reach GPU 1 any more"
    ]


def test_the_bus_tells_the_address_of_the_missing_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for pci in PCIS:
        pci_device(tmp_path, [f"pci0000:{pci[5:7]}", pci], 0)
    found = read(monkeypatch, tmp_path, query_xml(WITHOUT_1), KEPT)
    assert found["gpus"][1]["pci"] == PCIS[1]
    assert [one["message"] for one in found["problems"]] == [
        f"GPU {PCIS[1]} is on the PCI bus, the driver does not show it"
    ]


def test_a_gpu_that_only_the_xml_shows_as_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    query = query_xml([ALL[0], gpu_xml(1, "GPU is lost"), *ALL[2:]])
    found = read(monkeypatch, tmp_path, query, KEPT)
    assert [(gpu["index"], gpu["lost"]) for gpu in found["gpus"]][1] == (1, True)
    assert link(found, UUIDS[2], UUIDS[3]) == "NV4"
    assert [one["message"] for one in found["problems"]] == [
        f"the driver does not reach GPU 1 ({PCIS[1]}) any more"
    ]


def test_two_lost_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lost = said("GPU{}: {}: Unknown Error", 0) + said("GPU{}: {}: Unknown Error", 2)
    topo = pick(["GPU1", "GPU3"], [1, 3])
    found = read(monkeypatch, tmp_path, lost + query_xml([ALL[1], ALL[3]]), topo)
    assert [gpu["lost"] for gpu in found["gpus"]] == [True, False, True, False]
    assert link(found, UUIDS[1], UUIDS[3]) == "SYS"


def test_which_is_which_is_not_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three in the XML, four in the matrix, and minor numbers that are no indices."""
    shown = [one.replace("<minor_number>", "<minor_number>1") for one in WITHOUT_1]
    found = read(monkeypatch, tmp_path, query_xml(shown), PLAIN)
    assert {link(found, UUIDS[0], UUIDS[2]), link(found, UUIDS[2], UUIDS[3])} == {"NONE"}
    assert [one["message"] for one in found["problems"]] == [
        "nvidia-smi -q -x shows 3 GPUs and topo -m 4; which is which is not known, so no link is"
    ]


def test_no_complaint_is_taken_from_names_of_processes() -> None:
    text = query_xml([ALL[0]]).replace(
        "</gpu>", "<process_name>GPU1: 0000:34:00.0: Unknown Error</process_name></gpu>"
    )
    assert smi_lost.losses(smi_xml.around(text)) == []
    warning = "WARNING: infoROM is corrupted at gpu 0000:3B:00.0\n"
    assert smi_lost.losses(smi_xml.around(text + warning)) == []


NAME = "<processes><process_info><process_name>{}</process_name></process_info></processes></gpu>"


NAMES = [
    b"\x01\x02py&amp;thon",
    b"\x00\x00\x1b[0m",
    b"\xff\xfe\xc3(",
    "\ufffe\uffff".encode(),
    b"&#x1;&#0;&#xD800;&#1114112;&#99999999999;",
    b"a & b && c &nosuch; &amp",
    b"a < b <1>",
]


def read_bytes(
    monkeypatch: pytest.MonkeyPatch, root: Path, before: str, after: str, name: bytes
) -> dict[str, Any]:
    """With `before` replaced by `after`, which has the bytes in place of {}."""
    script = fake_smi(root, "", PLAIN)
    text = query_xml(ALL).replace(before, after).encode().replace(b"{}", name)
    (root / "query.txt").write_bytes(text)
    monkeypatch.setattr(smi, "program", lambda: str(script))
    return gpus.read(5, root)


@pytest.mark.parametrize("name", [*NAMES, b"a <<EOF", b"</b> <c", b"]]> <![CDATA["])
def test_names_of_processes_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: bytes
) -> None:
    found = read_bytes(monkeypatch, tmp_path, "</gpu>", NAME, name)
    assert (found["status"], [gpu["uuid"] for gpu in found["gpus"]]) == ("ok", UUIDS)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_xml_forbids_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: bytes
) -> None:
    found = read_bytes(monkeypatch, tmp_path, "NVIDIA A40", "{}", name)
    assert (found["status"], [gpu["uuid"] for gpu in found["gpus"]]) == ("ok", UUIDS)


def test_words_behind_the_document(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = query_xml(ALL) + "\nWARNING: infoROM is corrupted at gpu 0000:3B:00.0\n"
    assert read(monkeypatch, tmp_path, text)["status"] == "ok"


def test_a_broken_end_of_processes_does_not_hide_the_next_gpu() -> None:
    text = query_xml(ALL).replace("</gpu>", NAME).replace("</processes>", "", 1)
    with pytest.raises(smi_xml.Garbled, match="mismatched tag"):
        smi_xml.root(text)


BROKEN = query_xml(ALL).replace("</uuid>", "</uu", 1)


def asked(folder: Path, answers: list[str]) -> Path:
    """An nvidia-smi that gives these answers in turn, the last one for ever, and counts."""
    for number, text in enumerate(answers):
        (folder / f"answer{number}").write_text(text)
    script = fake_smi(folder, "", PLAIN)
    script.write_text(
        f'#!/bin/sh\ncd {folder}\nif [ "$1" = topo ]; then cat topo.txt; exit; fi\n'
        "n=$(cat count 2>/dev/null || echo 0)\necho $((n + 1)) > count\n"
        f"[ $n -ge {len(answers)} ] && n={len(answers) - 1}\ncat answer$n\n"
    )
    return script


@pytest.mark.parametrize("first", [BROKEN, query_xml(ALL)[:900]], ids=["broken", "truncated"])
def test_what_cannot_be_read_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: str
) -> None:
    script = asked(tmp_path, [first, first, query_xml(ALL)])
    monkeypatch.setattr(smi, "program", lambda: str(script))
    assert gpus.read(5, tmp_path)["status"] == "ok"
    assert (tmp_path / "count").read_text() == "3\n"


def test_what_stays_unreadable_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = asked(tmp_path, [BROKEN])
    monkeypatch.setattr(smi, "program", lambda: str(script))
    found = gpus.read(5, tmp_path)
    assert (found["status"], found["gpus"]) == ("error", [])
    message = found["problems"][0]["message"]
    assert f"'{script} -q -x' prints broken XML (asked 3x): not well-formed" in message
    assert "00000000-aaaa-bbbb-cccc-dddddddddddd</uu" in message
    assert message.endswith("run it on the host and look at that place")
    assert (tmp_path / "count").read_text() == "3\n"


def test_it_is_not_asked_again_beyond_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = asked(tmp_path, [BROKEN])
    monkeypatch.setattr(smi, "program", lambda: str(script))
    monkeypatch.setattr(smi, "PAUSE", 60)
    assert "prints broken XML (asked 1x)" in gpus.read(5, tmp_path)["problems"][0]["message"]


def test_a_failure_in_words_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = asked(tmp_path, ["Failed to initialize NVML: Driver/library version mismatch"])
    monkeypatch.setattr(smi, "program", lambda: str(script))
    assert gpus.read(5, tmp_path)["status"] == "driver_mismatch"
    assert (tmp_path / "count").read_text() == "1\n"


def test_labels_of_the_matrix_are_indices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All is well: positions, indices and labels are the same."""
    found = read(monkeypatch, tmp_path, query_xml(ALL), matrix(FOUR, GPUS, AFFINITY))
    assert [gpu["index"] for gpu in found["gpus"]] == [0, 1, 2, 3]
    assert found["links"] == FOUR
    assert found["problems"] == []


def test_as_many_gpus_in_both_and_not_the_same_ones() -> None:
    """The XML lacks GPU 1, which the matrix shows, and has GPU 2, which that lacks."""
    gpus = [{"pci": f"0000:{bus}:00.0", "minor": None, "lost": False} for bus in ("18", "86", "af")]
    lost = smi_lost.losses("Unable to determine the device handle for GPU1: 0000:34:00.0: Error")
    assert smi_lost.number(gpus, lost, [0, 1, 3]) is None
    # Without a contradiction the order tells.
    found = smi_lost.number(gpus, lost, [0, 2, 3])
    assert [gpu["index"] for gpu in found or []] == [0, 1, 2, 3]
