"""PCIe groups below bridges that redirect their traffic: a warning with the fix."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.dynfleet.placement.plan import make_plan
from ansible.module_utils.dynfleet.placement.wishes import Wishes

# Two GPUs on one switch, two on root ports of their own.
BRIDGES = [
    ["0000:16:01.0", "0000:17:00.0", "0000:18:00.0"],
    ["0000:16:01.0", "0000:17:00.0", "0000:18:04.0"],
    ["0000:85:01.0"],
    ["0000:85:02.0"],
]
LINKS = [
    ["X", "PIX", "SYS", "SYS"],
    ["PIX", "X", "SYS", "SYS"],
    ["SYS", "SYS", "X", "PHB"],
    ["SYS", "SYS", "PHB", "X"],
]


def warned(redirecting: list[str], bridges: Any = BRIDGES, **wishes: Any) -> list[str]:
    """Warnings about ACS of a plan for these four GPUs."""
    topology = {
        "gpus": [
            {"index": index, "uuid": f"GPU-{index}", "numa_node": 0, "bridges": above}
            for index, above in enumerate(bridges)
        ],
        "links": wishes.pop("links", LINKS),
        "source": "live",
        "problems": [],
        "acs": {"bridges": 6, "redirecting": redirecting},
    }
    return [
        one for one in make_plan(topology, Wishes(**wishes), "gpu1")["warnings"] if "ACS" in one
    ]


def test_a_switch_port_that_redirects() -> None:
    (warning,) = warned(["0000:18:04.0"])
    assert warning == (
        "GPUs 0+1 reach each other over PCIe, and ACS on bridge 0000:18:04.0 redirects that"
        " traffic to the root complex: NCCL can hang or crawl. Turn ACS off in the BIOS, or by the"
        " kernel option pci=disable_acs_redir=0000:18:04.0, or after each boot by 'setpci -s"
        " BRIDGE ECAP_ACS+6.w=0' for each of them; or go without PCIe peer-to-peer:"
        " NCCL_P2P_DISABLE: '1' in worker_environment and --disable-custom-all-reduce in"
        " worker_extra_args, and do not mind this warning"
    )


def test_a_port_above_the_common_switch_is_not_on_the_way() -> None:
    assert warned(["0000:16:01.0", "0000:17:00.0"]) == []


def test_root_ports_are_on_the_way_between_two_of_them() -> None:
    (warning,) = warned(["0000:85:01.0", "0000:85:02.0", "0000:18:00.0"])
    assert warning.startswith("GPUs 0+1, 2+3 reach each other over PCIe, and ACS on bridges")
    assert "pci=disable_acs_redir=0000:18:00.0;0000:85:01.0;0000:85:02.0," in warning


def test_nvlink_and_single_gpus_do_not_care() -> None:
    everything = sorted({bridge for above in BRIDGES for bridge in above})
    nvlink = [["X" if a == b else "NV18" for b in range(4)] for a in range(4)]
    assert warned(everything, links=nvlink) == []
    assert warned(everything, group_size=1) == []
    assert warned([]) == []


def test_a_record_that_does_not_say_which_bridges_are_above_a_gpu() -> None:
    """Any of them may be."""
    (warning,) = warned(["0000:16:01.0"], bridges=[None] * 4)
    assert warning.startswith("GPUs 0+1, 2+3 reach each other over PCIe")
