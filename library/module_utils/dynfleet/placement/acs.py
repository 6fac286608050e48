"""Groups whose PCIe traffic is sent on a detour by ACS, where NCCL then hangs or crawls.

Access Control Services of a PCIe bridge can redirect what one GPU sends to another up to the root
complex. The driver still reports that the GPUs reach each other. See NCCL's user guide,
Troubleshooting, PCI Access Control Services.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from ansible.module_utils.dynfleet.placement.explain import members
from ansible.module_utils.dynfleet.placement.grouping import Grouping
from ansible.module_utils.dynfleet.topology.links import NONE, nvlinks


def _between(one: Sequence[str], other: Sequence[str]) -> set[str]:
    """Bridges on the way between two GPUs, given those above each, the root port first."""
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return {*one[shared:], *other[shared:]}


def _on_the_way(grouping: Grouping, group: Sequence[int], redirecting: set[str]) -> set[str]:
    """Redirecting bridges between any two GPUs of a group that NVLink does not join.

    Where the facts do not say which bridges are above a GPU, any of the host's may be.
    """
    found: set[str] = set()
    for one, other in combinations(group, 2):
        link = grouping.usable.link(one, other)
        if nvlinks(link) or link == NONE:
            continue
        above = [grouping.usable.gpu(at).get("bridges") for at in (one, other)]
        if above[0] is None or above[1] is None:
            found |= redirecting
        else:
            found |= redirecting & _between(above[0], above[1])
    return found


def warnings(grouping: Grouping) -> list[str]:
    """One warning for all groups concerned, with the fix; none where no bridge redirects."""
    acs = grouping.usable.topology.get("acs") or {}
    redirecting = set(acs.get("redirecting") or [])
    bridges: set[str] = set()
    groups = []
    for group, names in zip(grouping.groups, grouping.indices()):
        found = _on_the_way(grouping, group, redirecting)
        if found:
            groups.append(members(names))
            bridges |= found
    if not groups:
        return []
    named = sorted(bridges)
    return [
        f"GPUs {', '.join(groups)} reach each other over PCIe, and ACS on"
        f" {'bridge' if len(named) == 1 else 'bridges'} {', '.join(named)} redirects that traffic"
        " to the root complex: NCCL can hang or crawl. Turn ACS off in the BIOS, or by the kernel"
        f" option pci=disable_acs_redir={';'.join(named)}, or after each boot by 'setpci -s BRIDGE"
        " ECAP_ACS+6.w=0' for each of them; or go without PCIe peer-to-peer: NCCL_P2P_DISABLE: '1'"
        " in worker_environment and --disable-custom-all-reduce in worker_extra_args, and do not"
        " mind this warning"
    ]
