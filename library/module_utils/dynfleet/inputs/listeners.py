"""Ports: two listeners on one, and places that say different ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from ansible.module_utils.dynfleet.inputs.kinds import LAST_PORT, PORT, judge
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem
from ansible.module_utils.dynfleet.inputs.sizes import workers_of
from ansible.module_utils.dynfleet.ports import EVERYWHERE, VLLM_STEP, Listener, port_table

ANY = ("0.0.0.0", EVERYWHERE)  # noqa: S104 - the first is sshd's, which is not ours
SSH_PORT = 22
HOST = "the host's address"
# A role's variable that has to say what the fleet's says: others are told that one.
FOLLOWED = (
    "dynamo_ports",
    "dynamo_engine",
    "dynamo_model_name",
    "dynamo_namespace",
    "host_address",
    "worker_cpu_cache_gib",
    "worker_ssd_cache_gib",
)


def usable_ports(host: Host) -> dict[str, int]:
    """The entries of the port table that are ports at all."""
    return {k: v for k, v in host.mapping("dynamo_ports").items() if not judge(v, PORT)}


def listeners(host: Host, fleet: Fleet) -> list[Listener]:
    """A host's listeners, sshd among them; addresses in words, so that hosts compare."""
    ports = usable_ports(host)
    engine = host.text("dynamo_engine") or "vllm"
    servers = len(fleet.groups.get("nats", ()))
    table = port_table(
        host.groups,
        HOST,
        ports,
        workers=workers_of(host, fleet),
        engine=engine,
        nats_servers=servers,
    )
    return [*table, Listener(ANY[0], ssh_port(host), "sshd", "", True)]


def ssh_port(host: Host) -> int:
    """Where sshd listens; -e and INI files give numbers as text."""
    given = str(host.value("ansible_port") or "")
    return int(given) if given.isdecimal() else SSH_PORT


def meet(one: Listener, other: Listener) -> bool:
    """Whether two listeners on one port exclude each other."""
    return one.address == other.address or one.address in ANY or other.address in ANY


def clashes(table: list[Listener]) -> list[tuple[Listener, Listener]]:
    """The first clash between any two entries of the port table."""
    found: dict[frozenset[str], tuple[Listener, Listener]] = {}
    ordered = sorted(table, key=lambda item: item.port)
    for _, group in groupby(ordered, key=lambda item: item.port):
        same = list(group)
        for position, one in enumerate(same):
            for other in same[position + 1 :]:
                if meet(one, other):
                    found.setdefault(frozenset((one.entry, other.entry)), (one, other))
    return list(found.values())


def words(listener: Listener) -> str:
    """A listener as people know it."""
    return f"{listener.process} ({listener.entry})" if listener.entry else listener.process


def remedy(one: Listener, other: Listener) -> str:
    """How two listeners are parted."""
    entries = (one.entry, other.entry)
    if "worker_vllm" in entries:
        return f"move one; worker_vllm is the first of {VLLM_STEP} ports for each worker"
    if any(entry.startswith("worker_") for entry in entries):
        return "move one; a worker entry is the first port, each worker takes the next"
    return "move one"


def check(fleet: Fleet) -> Iterator[Problem]:
    """Clashes, ranges that end too high, and variables that leave the port table."""
    aliases = {name: of for root in FOLLOWED for name, of in fleet.catalogue.aliases(root).items()}
    for host in fleet.hosts.values():
        table = listeners(host, fleet)
        for one, other in clashes(table):
            entry = one.entry or other.entry
            where = one.address if one.address not in ANY else other.address
            yield host.problem(
                f"dynamo_ports.{entry}",
                f"port {one.port} on {where} would be opened by {words(one)} and {words(other)}",
                remedy(one, other),
                value=usable_ports(host)[entry],
            )
        beyond = {item.entry: item for item in reversed(table) if item.port > LAST_PORT}
        for entry, item in beyond.items():
            yield host.problem(
                f"dynamo_ports.{entry}",
                f"{item.process} would get port {item.port}, and from {LAST_PORT + 1} on the "
                "kernel gives ports to anyone",
                "take a lower one",
                value=usable_ports(host)[entry],
            )
        yield from _follow(host, aliases)


def _follow(host: Host, aliases: Mapping[str, str]) -> Iterator[Problem]:
    for name, of in sorted(aliases.items()):
        if name not in host.given or name not in host.variables:
            continue
        root, _, key = of.partition(".")
        wanted = host.mapping(root).get(key) if key else host.value(root)
        if wanted is not None and host.variables[name] != wanted:
            yield host.problem(
                name, f"other parts of the service go by {of}, which is not this", f"set {of}"
            )
