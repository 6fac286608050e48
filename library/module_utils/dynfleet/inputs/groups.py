"""Who is where: sizes of the inventory groups."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from ansible.module_utils.dynfleet.inputs.model import GROUPS, Fleet, Problem

# Groups that Ansible itself makes.
BUILT_IN = frozenset(("all", "ungrouped"))


def check(fleet: Fleet) -> Iterator[Problem]:
    """Missing and empty groups, and sizes that give no quorum.

    A host in none of our groups is left alone: no play of ours touches it.
    """
    others = set(fleet.groups) - set(GROUPS) - BUILT_IN
    for group, role in GROUPS.items():
        hosts = fleet.groups.get(group, ())
        if not hosts:
            what = "has no host" if group in fleet.groups else "is not in the inventory"
            near = get_close_matches(group, others, 1)
            yield Problem(
                message=f"{what}, so no host gets the role {role}",
                mend=f"is it the group '{near[0]}'? Then rename that"
                if near
                else f"put at least one host into a group '{group}'",
                group=group,
            )
    members = list(fleet.groups.get("etcd", ()))
    if members and len(members) % 2 == 0:
        yield Problem(
            message=f"{len(members)} members bear no more failures than {len(members) - 1}, and "
            "more can fail",
            mend=f"make it {len(members) - 1} or {len(members) + 1}",
            group="etcd",
        )
    if len(fleet.groups.get("nats", ())) == 2:
        yield Problem(
            message="two servers: JetStream needs both for its quorum, so either one's failure "
            "stops it",
            mend="make it 1 or 3",
            group="nats",
        )
    builders = list(fleet.groups.get("builder", ()))
    if len(builders) > 1:
        yield Problem(
            message=f"only the first host ({builders[0]}) would serve wheels, the others would "
            "collect them for nobody",
            mend="leave one host in it",
            group="builder",
        )
