"""Who is where: sizes of the inventory groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from ansible.module_utils.dynfleet.inputs.model import GROUPS, Fleet, Problem

# Groups that Ansible itself makes.
BUILT_IN = frozenset(("all", "ungrouped"))


# Names stand in unit files, in etcd's list of members and in names of files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check(fleet: Fleet) -> Iterator[Problem]:
    """Missing and empty groups, and sizes that give no quorum.

    A host in none of our groups is left alone: no play of ours touches it.
    """
    for host in fleet.hosts.values():
        yield from _name(host.name)
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


def _name(name: str) -> Iterator[Problem]:
    """A host's name in the inventory."""
    if name == "localhost":
        yield Problem(
            message="is what the playbooks call the controller",
            mend="give the host a name of its own; with ansible_connection: local where it is this "
            "machine",
            host=name,
        )
    elif not _NAME.fullmatch(name):
        yield Problem(
            message="is no name for a host here",
            mend="use 1 to 63 letters, digits and . _ -, a letter or digit first; ansible_host "
            "says where it is",
            host=name,
        )
