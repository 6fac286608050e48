"""etcd, NATS and frontends: how many others have to serve while one restarts.

etcd and NATS (for JetStream) need a quorum of all their members, a fleet of frontends needs one
that serves. One that stands alone has nobody to take over: its restart is announced, not refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

# Groups whose unit is restarted host after host, in this order.
UNITS = {
    "etcd": "dynamo-etcd.service",
    "nats": "dynamo-nats.service",
    "frontends": "dynamo-frontend.service",
}
_NAMES = {"etcd": "etcd member", "nats": "NATS server", "frontends": "frontend"}
_WHY = {"etcd": "quorum", "nats": "quorum of JetStream", "frontends": "no request may be refused"}
# What clients see while the only one restarts.
_SEEN = {
    "etcd": (
        "running requests and new ones go on, but no worker can register; processes end when it "
        "is away for longer than their lease (dynamo_lease_ttl)"
    ),
    "nats": "requests go on, but routers hear nothing of KV caches",
    "frontends": "clients get refused connections, 503 and 404",
}
Health = Mapping[str, str]  # by host, why a member is not healthy; empty where it is


def others_needed(group: str, members: int) -> int:
    """How many others have to be healthy while one of so many members restarts."""
    if members < 2:
        return 0
    return 1 if group == "frontends" else members // 2 + 1


def in_order(hosts: Sequence[str], health: Health, leader: str | None) -> list[str]:
    """Members in the order of their restarts: those that are down first, the leader last."""
    return sorted(hosts, key=lambda host: (not health.get(host), host == leader))


def refusal(group: str, restarted: Sequence[str], health: Health) -> str:
    """Why members of a group may not be restarted now; empty where they may.

    health: of the whole group. What is down and is restarted itself is started first.
    """
    needed = others_needed(group, len(health))
    down = {host: why for host, why in health.items() if why and host not in restarted}
    taken = [host for host in restarted if not health.get(host)]
    left = len(health) - len(down) - 1
    if not taken or left >= needed:
        return ""
    said = "; ".join(f"{host}: {why}" for host, why in down.items())
    fix = (
        f"Not healthy: {said}. Fix them first (playbooks/verify.yml says what is wrong)"
        if down
        else f"{len(health)} members can spare none: make it one, or an odd number"
    )
    return (
        f"{group}: while {taken[0]} restarts, {left} of {len(health)} would be left, and {needed} "
        f"have to be ({_WHY[group]}). {fix}. If an interruption is acceptable, set "
        "roll_allow_outage: true"
    )


def announcement(
    group: str, restarted: Sequence[str], health: Health, took: float | None, drain: int
) -> Iterator[str]:
    """What clients see of the restart of a group's only member.

    took: seconds of its last restart, where known. drain: seconds that a stopping frontend waits
    at most for its streams, in which it takes nothing new.
    """
    if not restarted or len(health) != 1:
        return
    last = f" (the last restart took {took:.1f} s)" if took else ""
    streams = f", and before that up to {drain} s for its streams" if group == "frontends" else ""
    yield (
        f"INTERRUPTION: {restarted[0]} is the only {_NAMES[group]}. While it restarts, for a few "
        f"seconds{last}{streams}, {_SEEN[group]}"
    )
