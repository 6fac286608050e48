"""Members of an etcd cluster: who is one, who is to be, and a way there that keeps a quorum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Member:
    """One member as the cluster has it.

    name: empty until it was started for the first time. healthy: its own endpoint says so.
    """

    id: str
    name: str
    peer: str
    client: str
    learner: bool
    healthy: bool


@dataclass
class Plan:
    """The way from the members that a cluster has to those that it is to have.

    remove_first: ids of members without which the cluster is better off before anything is added.
    join: names of hosts to add as learners, start and promote, one after another.
    fresh: those of them whose data directory is to be set aside.
    remove_last: ids of members that serve until the new ones do.
    problems: why it may not be gone. notes: what is to be told and stops nothing.
    """

    remove_first: list[str] = field(default_factory=list)
    join: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    remove_last: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether the cluster has the members that it is to have."""
        return not (self.remove_first or self.join or self.remove_last)


def read_members(document: Mapping[str, Any], healthy: Sequence[str]) -> list[Member]:
    """Members out of ``/v3/cluster/member/list``.

    healthy: client URLs whose health check passes.
    """
    found = []
    for entry in document.get("members", ()):
        client = (entry.get("clientURLs") or [""])[0]
        found.append(
            Member(
                id=str(entry["ID"]),
                name=entry.get("name", ""),
                peer=(entry.get("peerURLs") or [""])[0],
                client=client,
                learner=bool(entry.get("isLearner")),
                healthy=client in healthy,
            )
        )
    return sorted(found, key=lambda member: (member.name, member.peer))


def quorum(voters: int) -> int:
    """How many of so many voting members have to agree."""
    return voters // 2 + 1


def lost_by_removal(cluster: Sequence[Member], removed: Member) -> str:
    """Why a member may not be removed now; empty where the others keep a quorum."""
    rest = [member for member in cluster if member.id != removed.id and not member.learner]
    alive = [member for member in rest if member.healthy]
    if not rest:
        return (
            f"{removed.name or removed.peer} is the only voting member: the cluster would be gone"
        )
    if len(alive) < quorum(len(rest)):
        down = ", ".join(member.name or member.peer for member in rest if not member.healthy)
        return (
            f"without {removed.name or removed.peer} only {len(alive)} of {len(rest)} members "
            f"would be healthy, {quorum(len(rest))} are needed (not healthy: {down}); bring these "
            "back first"
        )
    return ""


def plan(cluster: Sequence[Member], wanted: Mapping[str, str], target: str = "") -> Plan:
    """What has to be done.

    wanted: peer URL by member name. target: a wanted member that is to be replaced although the
    cluster has one of its address: its data is lost or bad.
    """
    made = Plan()
    by_peer = {member.peer: member for member in cluster}
    if target and target not in wanted:
        made.problems.append(
            f"target {target} is not in the group etcd ({', '.join(sorted(wanted))}): it names a "
            "host whose member is to be made anew"
        )
        return made
    gone = [member for member in cluster if member.peer not in wanted.values()]
    for name, peer in wanted.items():
        member = by_peer.get(peer)
        if member is None or not member.name:
            made.join.append(name)
            made.fresh.append(name)
        elif name == target and not member.healthy:
            gone.append(member)
            made.join.append(name)
            made.fresh.append(name)
        elif member.learner:
            made.join.append(name)
        elif name == target:
            made.notes.append(
                f"{name} is a healthy member with a vote: there was nothing to replace. If its "
                "data has to go all the same, stop dynamo-etcd on that host and run again"
            )
    left = list(cluster)
    for member in gone:
        if member.healthy and not member.learner:
            made.remove_last.append(member.id)
            continue
        if not member.learner and (why := lost_by_removal(left, member)):
            made.problems.append(why)
        made.remove_first.append(member.id)
        left.remove(member)
    # The new ones vote by then.
    left += [
        Member(id=f"new {name}", name=name, peer="", client="", learner=False, healthy=True)
        for name in made.join
    ]
    for identifier in made.remove_last:
        member = next(item for item in left if item.id == identifier)
        if why := lost_by_removal(left, member):
            made.problems.append(why)
        left.remove(member)
    return made


def initial_cluster(cluster: Sequence[Member], joining: str, peer: str) -> str:
    """What a joining member has to be told of its cluster (ETCD_INITIAL_CLUSTER)."""
    names = {member.peer: member.name for member in cluster}
    names[peer] = joining
    return ",".join(
        f"{name}={url}" for url, name in sorted(names.items(), key=lambda item: item[1])
    )


def as_data(cluster: Sequence[Member]) -> list[dict[str, Any]]:
    """Members as plain data, for a module's result."""
    return [asdict(member) for member in cluster]
