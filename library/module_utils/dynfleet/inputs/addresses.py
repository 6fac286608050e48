"""Addresses: what listeners bind and other hosts are told; and one machine under two names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

MEND = "set host_address to the private IPv4 address that the other hosts reach it at"


def refused(text: str) -> str:
    """Why an address cannot be a listener's, or nothing."""
    if not text:
        return "is empty"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is not a literal IP address (a name could resolve to another one on each host)"
    if address.version != 4:
        return "is not an IPv4 address"
    for bad, why in (
        (address.is_unspecified, "would listen on every network"),
        (address.is_loopback, "is loopback, which no other host reaches"),
        (address.is_multicast, "is a multicast address"),
        (address.is_link_local, "is link-local"),
        (address.is_reserved, "is reserved"),
    ):
        if bad:
            return why
    return ""


def machine(host: Host) -> tuple[str, str, str]:
    """What Ansible connects to: two names with equal ones are one machine."""
    connection = host.text("ansible_connection") or "ssh"
    if connection in ("local", "ansible.builtin.local"):
        return ("local", "", "")
    port = host.value("ansible_port") or 22
    return (connection, str(host.value("ansible_host") or host.name), str(port))


def check(fleet: Fleet) -> Iterator[Problem]:
    """Each host's address, then those that several hosts have."""
    machines: dict[tuple[str, str, str], str] = {}
    addresses: dict[str, str] = {}
    for host in fleet.hosts.values():
        address = host.text("host_address")
        if address is not None:
            yield from _own(host, address)
        first = machines.setdefault(machine(host), host.name)
        if first != host.name:
            yield host.problem(
                "ansible_host",
                f"is the same machine as {first}",
                "give each machine one name, and put that name into several groups",
            )
        elif address and addresses.setdefault(address, host.name) != host.name:
            yield host.problem("host_address", f"is {addresses[address]}'s address too", MEND)


def _own(host: Host, address: str) -> Iterator[Problem]:
    if why := refused(address):
        yield host.problem("host_address", why, MEND)
    elif ipaddress.ip_address(address).is_global:
        yield host.problem(
            "host_address",
            "is a public address, and etcd and NATS ask nobody who they are",
            "use a private one, or close the ports of dynamo_ports to the world",
            warning=True,
        )
