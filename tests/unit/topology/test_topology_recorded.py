"""Recorded topologies: what can be read back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.topology import recorded
from ansible.module_utils.dynfleet.topology.recorded import Unreadable
from topology_captures import FOUR, PLAIN

LAB = Path(__file__).resolve().parents[3] / "inventory" / "lab" / "topologies"


@pytest.mark.parametrize("path", sorted(LAB.glob("*.json")), ids=lambda path: path.stem)
def test_the_labs_own(path: Path) -> None:
    found = recorded.read(str(path))
    assert found["source"] == f"recorded:{path}"
    assert len(found["gpus"]) == 8
    assert {**found, "source": ""} == {**json.loads(path.read_text()), "source": ""}


def test_as_a_module_prints_it(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text(
        json.dumps(
            {"changed": False, "topology": json.loads((LAB / "hgx-h200-8.json").read_text())}
        )
    )
    assert recorded.read(str(path))["host"] == "hgx-h200-8"


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "topo.txt"
    path.write_text(PLAIN)
    found = recorded.read(str(path))
    assert found["links"] == FOUR
    assert found["nvme"] == []
    assert found["sources"] == {"": "the recorded file"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("text", [PLAIN, json.dumps({"gpus": 4, "links": FOUR})])
def test_with_a_byte_order_mark(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "topo.txt"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes((mark + text).encode(encoding))
    assert recorded.read(str(path))["links"] == FOUR


def test_bare_matrix() -> None:
    text = json.dumps({"id": "m", "gpu": "K80", "gpus": 2, "links": [["X", "SOC"], ["SOC", "X"]]})
    found = recorded.parse_text("m", text)
    assert found["links"] == [["X", "SYS"], ["SYS", "X"]]
    assert [gpu["numa_node"] for gpu in found["gpus"]] == [None, None]


def matrix(links: Any, gpus: int = 2) -> str:
    return json.dumps({"gpus": gpus, "links": links})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"gpus": ', "m: not JSON"),
        ('{"schema": 7}', "m: schema is 7, this release reads 1: record it anew"),
        ('{"schema": 1, "gpus": 1}', "m: needs the lists gpus and links"),
        ('{"topology": [1]}', "m: topology is no object"),
        (matrix(5), "m: needs the lists gpus and links"),
        (matrix([1, 2]), "m: needs the lists gpus and links"),
        ('{"schema": 1, "gpus": [3], "links": [["X"]]}', r"m: gpus\[0\] has no index"),
        ('{"schema": 1, "gpus": [{"index": "0"}], "links": [["X"]]}', r"m: gpus\[0\] has no index"),
        (
            '{"schema": 1, "gpus": [{"index": 1}, {"index": 1}], "links": [[], []]}',
            "m: two GPUs have the index 1",
        ),
        (
            '{"schema": 1, "links": [[], []],'
            ' "gpus": [{"index": 0, "uuid": "GPU-a"}, {"index": 1, "uuid": "GPU-a"}]}',
            "m: two GPUs have the uuid GPU-a",
        ),
        (matrix([["X"]]), "m: 2 GPUs need a link matrix of that size"),
        (matrix([["X", "QPI"], ["QPI", "X"]]), r"m: links\[0\]\[1\] is 'QPI', no link class"),
        (matrix([["X", "X"], ["SYS", "X"]]), r"m: links\[0\]\[1\] is 'X', no link class"),
        (matrix([["X", "PIX"], ["SYS", "X"]]), "m: asymmetric"),
        (PLAIN[: len(PLAIN) // 8], "m: truncated"),
        ("", "m: no matrix of"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        recorded.parse_text("m", text)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        recorded.read(str(tmp_path / "none"))


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "MAX_BYTES", 10)
    (tmp_path / "big").write_text(PLAIN)
    with pytest.raises(Unreadable, match="larger than 10 bytes"):
        recorded.read(str(tmp_path / "big"))
