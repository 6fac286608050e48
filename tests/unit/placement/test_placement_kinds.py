"""Hosts with several kinds of GPU: no group mixes them unless someone says so by name."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible.module_utils.dynfleet.placement.explain import notes
from ansible.module_utils.dynfleet.placement.plan import Refusal, make_plan
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology import recorded
from placement_cases import LAB

MIB = 1 << 20
RTX = ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97887)
T400 = ("NVIDIA T400 4GB", 4096)
A100 = ("NVIDIA A100 80GB PCIe", 81920)
L40S = ("NVIDIA L40S", 46068)


def host(*cards: tuple[str | None, int | None]) -> dict[str, Any]:
    """A host with these cards (name, MiB), all on one NUMA node without NVLink."""
    gpus = [
        {
            "index": index,
            "uuid": f"GPU-{index}",
            "name": name,
            "memory_bytes": mib and mib * MIB,
            "numa_node": 0,
        }
        for index, (name, mib) in enumerate(cards)
    ]
    count = len(cards)
    links = [["X" if a == b else "NODE" for b in range(count)] for a in range(count)]
    return {"gpus": gpus, "links": links, "source": "live", "problems": []}


def plan_of(topology: dict[str, Any], **wishes: Any) -> dict[str, Any]:
    return make_plan(topology, Wishes(**wishes), "gpu1")


def groups(plan: dict[str, Any]) -> list[list[int]]:
    return [[gpu["index"] for gpu in worker["gpus"]] for worker in plan["workers"]]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_display_card_is_left_out_wherever_it_sits(size: int, place: int) -> None:
    cards = [RTX] * 3
    cards.insert(place, T400)
    plan = plan_of(host(*cards), group_size=size)
    assert all(place not in group for group in groups(plan))
    assert len(groups(plan)) == 3 // size
    idle = {entry["index"]: entry["reason"] for entry in plan["idle"]}
    assert idle[place] == (
        "it is NVIDIA T400 4GB (4 GiB), the workers of this host run on NVIDIA RTX PRO 6000"
        " Blackwell Workstation Edition (96 GiB); a worker on it has to be named in"
        " placement_layout"
    )
    assert f"GPU {place} is idle: {idle[place]}." in notes(plan)


def test_two_display_cards_make_no_pair_of_their_own() -> None:
    assert groups(plan_of(host(T400, RTX, RTX, T400))) == [[1, 2]]


def test_two_equal_halves() -> None:
    """The larger memory serves; the other half is idle, and says how it can be used."""
    plan = plan_of(host(*[L40S] * 4, *[A100] * 4))
    assert groups(plan) == [[4, 5], [6, 7]]
    assert [entry["index"] for entry in plan["idle"]] == [0, 1, 2, 3]
    by_name = plan_of(host(*[L40S] * 4, *[A100] * 4), layout=(("0", "1"), ("4", "5")))
    assert groups(by_name) == [[0, 1], [4, 5]]
    assert not any("mix" in warning for warning in by_name["warnings"])
    assert {entry["reason"] for entry in by_name["idle"]} == {"not in placement_layout"}


def test_excluding_one_kind_leaves_the_other() -> None:
    plan = plan_of(host(*[L40S] * 2, *[A100] * 2), exclude=("2", "3"))
    assert groups(plan) == [[0, 1]]


def test_one_model_with_two_sizes_of_memory() -> None:
    name = "NVIDIA GeForce RTX 4090"
    plan = plan_of(host((name, 24564), (name, 49140), (name, 49140), (name, 24564)))
    assert groups(plan) == [[1, 2]]


def test_ecc_is_no_other_size() -> None:
    plan = plan_of(host(("NVIDIA A40", 46068), ("NVIDIA A40", 49140)))
    assert groups(plan) == [[0, 1]]


def test_one_large_gpu_makes_no_pair() -> None:
    """The kind that brings the most memory in whole groups, not at all."""
    h200 = ("NVIDIA H200", 143771)
    assert groups(plan_of(host(h200, L40S, L40S))) == [[1, 2]]
    assert groups(plan_of(host(h200, L40S, L40S), group_size=1)) == [[0]]


def test_gpus_that_fail_do_not_turn_the_host_over_to_the_display_cards() -> None:
    topology = host(RTX, RTX, T400, T400)
    topology["gpus"][0]["mig"] = "enabled"
    with pytest.raises(Refusal) as caught:
        plan_of(topology)
    assert caught.value.violations[0] == "1 usable GPUs, placement_group_size is 2"
    assert any(
        told.startswith("GPU 2 is out: it is NVIDIA T400") for told in caught.value.violations
    )


def test_a_mix_that_was_named_is_honoured_and_warned_of() -> None:
    plan = plan_of(host(RTX, T400, RTX), layout=(("0", "GPU-1"),))
    assert groups(plan) == [[0, 1]]
    assert (
        "GPUs 0+1 of placement_layout mix NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
        " (96 GiB) and NVIDIA T400 4GB (4 GiB): the worker is as fast as the slowest and as large"
        " as the smallest"
    ) in plan["warnings"]


@pytest.mark.parametrize("cards", [[(None, None)] * 4, [("A", None)] * 4, [(None, 4096)] * 4])
def test_what_the_facts_do_not_say_is_no_difference(cards: list[Any]) -> None:
    assert groups(plan_of(host(*cards))) == [[0, 1], [2, 3]]


def test_a_host_of_one_kind_is_planned_as_ever() -> None:
    topology = recorded.read(str(LAB / "h100-pcie-8-bridged.json"))
    bare = copy.deepcopy(topology)
    for gpu in bare["gpus"]:
        gpu["name"] = gpu["memory_bytes"] = None
    assert plan_of(topology) == plan_of(bare)
