"""The picture is well-formed, and shows what it must."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.module_utils.dynfleet.placement.plan import make_plan
from ansible.module_utils.dynfleet.placement.svg import picture
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology import recorded
from placement_cases import IDS, LAB, MACHINES


def drawn(topology: dict[str, Any], size: int) -> tuple[ElementTree.Element, list[str]]:
    """The document and all its texts."""
    plan = make_plan(topology, Wishes(group_size=size), "gpu1")
    root = ElementTree.fromstring(picture(topology, plan))  # noqa: S314 - written here
    return root, [node.text or "" for node in root.iter() if node.tag.endswith("text")]


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("machine", MACHINES, ids=IDS)
def test_every_real_machine(machine: dict[str, Any], size: int) -> None:
    if machine["gpus"] < size:
        pytest.skip("too few GPUs")
    _, texts = drawn(recorded.parse_text("m", json.dumps(machine)), size)
    gpus = [text.replace(" (idle)", "") for text in texts if text.startswith("GPU ")]
    assert set(gpus) >= {f"GPU {index}" for index in range(machine["gpus"])}
    assert {text for text in texts if text.startswith("worker ")} == {
        f"worker {index}" for index in range(machine["gpus"] // size)
    }


def test_nodes_devices_links_and_rings() -> None:
    root, texts = drawn(recorded.read(str(LAB / "h100-pcie-8-bridged.json")), 2)
    assert {"NUMA node 0", "NUMA node 1", "nvme0n1 /nvme0", "mlx5_1", "NV12"} <= set(texts)
    assert texts.count("NV12") == 4 + 1  # one a worker, one in the legend
    arcs = [node for node in root.iter() if node.tag.endswith("path")]
    assert sum(node.get("stroke-width") == "4" for node in arcs) == 4
    rings = [node for node in root.iter() if node.get("stroke-width") == "3"]
    assert len({node.get("stroke") for node in rings}) == 4


def test_a_full_mesh_is_a_bar() -> None:
    root, texts = drawn(recorded.read(str(LAB / "hgx-h200-8.json")), 4)
    assert "NV18 between every two GPUs" in texts
    assert not [node for node in root.iter() if node.tag.endswith("path")]


def test_names_are_escaped() -> None:
    topology = recorded.read(str(LAB / "hgx-h200-8.json"))
    topology["gpus"][0]["name"] = "<b>&"
    assert "<b>&" in drawn(topology, 2)[1]
