"""The lab as data: names, addresses, texts and commands. Pure: nothing here touches the machine."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SUITES = ("bookworm", "trixie")
MOST_HOSTS = 16
# What a bare server has, and nothing of the product.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
)
# Timers that would take the dpkg lock under a running deploy, logins nobody sees, and
# (Debian 13) the generator that opens further ssh sockets.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
)
HOOKS = (
    'rm -f "$1"/etc/ssh/ssh_host_*_key*',
    'chroot "$1" systemctl enable systemd-networkd.service',
    f'chroot "$1" systemctl mask {" ".join(MASKED)}',
    'mkdir -p "$1"/etc/systemd/system-generators',
    'ln -s /dev/null "$1"/etc/systemd/system-generators/systemd-ssh-generator',
    'if ls "$LAB_CERTIFICATES"/*.crt >/dev/null 2>&1; then '
    'cp "$LAB_CERTIFICATES"/*.crt "$1"/usr/local/share/ca-certificates/ && '
    'chroot "$1" update-ca-certificates; fi',
)
BUILD_OPTIONS = (
    "--variant=minbase",
    "--mode=root",
    "--format=directory",
    f"--include={','.join(PACKAGES)}",
    # The package lists stay, so that a host installs without an update.
    "--skip=cleanup/apt/lists",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    *(f"--customize-hook={hook}" for hook in HOOKS),
)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")
CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+(.+?)\s+-----END CERTIFICATE-----", re.DOTALL
)


@dataclass(frozen=True)
class Bind:
    """A directory or file of the machine that a host sees at a path."""

    path: str
    source: str
    read_only: bool


@dataclass(frozen=True)
class Host:
    """A wanted host."""

    name: str
    address: str
    suite: str
    topology: str | None = None
    binds: tuple[Bind, ...] = ()


@dataclass(frozen=True)
class Lab:
    """A lab: its name is its bridge's, its state is one directory."""

    bridge: str
    subnet: str
    directory: str
    cache: str
    # Whether hosts have a way out: forwarding and address translation.
    internet: bool = True

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.subnet)

    @property
    def gateway(self) -> str:
        """The machine's address on the bridge."""
        return str(self.network.network_address + 1)

    def machine(self, name: str) -> str:
        """Name of a host among all containers of the machine."""
        return f"{self.bridge}-{name}"


def host_from(item: Mapping[str, Any]) -> Host:
    """A host from module parameters."""
    binds = tuple(Bind(b["path"], b["source"], b["read_only"]) for b in item["binds"] or [])
    return Host(item["name"], item["address"], item["suite"], item.get("topology"), binds)


def lab_problems(bridge: str, subnet: str) -> list[str]:
    """What is wrong with a lab's name and subnet, each with its mend."""
    found = []
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,14}", bridge):
        found.append(f"lab_bridge '{bridge}': use 1 to 15 of a-z, 0-9 and -, a letter first")
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        found.append(f"lab_subnet '{subnet}': {error}; write for example 10.77.0.0/24")
    else:
        if network.prefixlen > 29 or not network.is_private:
            found.append(f"lab_subnet '{subnet}': use a private network of /29 or larger")
    return found


def host_problems(lab: Lab, hosts: Sequence[Host]) -> list[str]:
    """What is wrong with the wanted hosts, all at once."""
    found = []
    if not 1 <= len(hosts) <= MOST_HOSTS:
        found.append(f"{len(hosts)} hosts in group lab: a lab has 1 to {MOST_HOSTS}")
    names = [host.name for host in hosts]
    addresses = [host.address for host in hosts]
    usable = set(map(str, lab.network.hosts()))
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", host.name):
            found.append(f"{host.name}: a host name is 1 to 42 of a-z, 0-9 and -")
        if names.count(host.name) > 1:
            found.append(f"{host.name}: named twice")
        if host.address not in usable:
            found.append(f"{host.name}: ansible_host {host.address} is not in {lab.subnet}")
        elif host.address == lab.gateway:
            found.append(f"{host.name}: ansible_host {host.address} is the bridge's own address")
        if addresses.count(host.address) > 1:
            found.append(f"{host.name}: ansible_host {host.address} is used twice")
        if host.suite not in SUITES:
            found.append(f"{host.name}: lab_suite '{host.suite}' is none of {', '.join(SUITES)}")
        found.extend(
            f"{host.name}: lab_binds needs absolute paths, not {bind.source} on {bind.path}"
            for bind in host.binds
            if not (bind.path.startswith("/") and bind.source.startswith("/"))
        )
    return found


def certificates(text: str) -> dict[str, str]:
    """Certificates of a PEM text by digest; comments and line breaks do not matter."""
    found = {}
    for match in CERTIFICATE.finditer(text):
        body = "".join(match.group(1).split())
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        pem = f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
        found[hashlib.sha256(body.encode()).hexdigest()[:16]] = pem
    return found


def extra_certificates(trusted: Sequence[str], shipped: Sequence[str]) -> dict[str, str]:
    """Certificates that the machine trusts beyond those its distribution ships."""
    known = {digest for text in shipped for digest in certificates(text)}
    found = {digest: pem for text in trusted for digest, pem in certificates(text).items()}
    return {digest: pem for digest, pem in sorted(found.items()) if digest not in known}


def root_name(suite: str, extra: Mapping[str, str]) -> str:
    """Name of a cached root: its recipe decides it, so that an old one is never taken for new."""
    recipe = json.dumps([suite, BUILD_OPTIONS, sorted(extra)])
    return f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build_command(suite: str, target: str) -> list[str]:
    """The mmdebstrap call that makes a suite's root in a directory."""
    return ["mmdebstrap", *BUILD_OPTIONS, suite, target]


def nameservers(text: str) -> list[str]:
    """Servers of a resolv.conf."""
    return re.findall(r"^\s*nameserver\s+(\S+)", text, re.MULTILINE)


def usable_resolver(texts: Sequence[str]) -> str | None:
    """The first resolv.conf that works from another host: it names no loopback server."""
    for text in texts:
        servers = nameservers(text)
        if servers and not any(s.startswith("127.") or s == "::1" for s in servers):
            return text
    return None


def proxy_environment(environ: Mapping[str, str], lab: Lab, names: Sequence[str]) -> dict[str, str]:
    """The machine's proxy variables for the hosts; the lab itself is never proxied."""
    found = {}
    for name in PROXY_VARIABLES:
        value = environ.get(name) or environ.get(name.upper())
        if value:
            found[name] = value
    if "http_proxy" in found or "https_proxy" in found:
        direct = [p for p in found.get("no_proxy", "").split(",") if p]
        direct += [p for p in ("localhost", "127.0.0.1", lab.subnet, *names) if p not in direct]
        found["no_proxy"] = ",".join(direct)
        return found
    return {}


def loopback_proxies(proxies: Mapping[str, str]) -> list[str]:
    """Proxies that only the machine itself can reach."""
    return [
        f"{name}={value}"
        for name, value in proxies.items()
        if name != "no_proxy" and re.match(r"localhost$|127\.|::1$", urlsplit(value).hostname or "")
    ]


NAT = """  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} ip daddr != {subnet} masquerade
  }}
"""
# Other labs of the machine may have forwarding on, and the machine has services of its own.
CUT = """  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{bridge}" oifname != "{bridge}" drop
    oifname "{bridge}" iifname != "{bridge}" drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{bridge}" ct state new drop
  }}
"""


def table_rules(lab: Lab) -> str:
    """The lab's own nftables table, made anew in one transaction: a way out, or none at all."""
    table = f"ip {lab.bridge}"
    chains = (NAT if lab.internet else CUT).format(subnet=lab.subnet, bridge=lab.bridge)
    return f"table {table}\ndelete table {table}\ntable {table} {{\n{chains}}}\n"


def has_table(ruleset: Mapping[str, Any], lab: Lab) -> bool:
    """Whether the lab's table is there."""
    tables = [item["table"] for item in ruleset.get("nftables", []) if "table" in item]
    return any((t["family"], t["name"]) == ("ip", lab.bridge) for t in tables)


def has_table_rules(ruleset: Mapping[str, Any], lab: Lab) -> bool:
    """Whether it has its rules: the translation of the lab's subnet, or the three that drop."""
    rules = [item["rule"] for item in ruleset.get("nftables", []) if "rule" in item]
    own = [json.dumps(r["expr"]) for r in rules if (r["family"], r["table"]) == ("ip", lab.bridge)]
    if not lab.internet:
        return sum('"drop"' in text and f'"{lab.bridge}"' in text for text in own) == 3
    return any("masquerade" in text and lab.subnet.split("/")[0] in text for text in own)


def blocking_chains(ruleset: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Forward chains (family, table, name) of other tools that drop by default."""
    chains = (item["chain"] for item in ruleset.get("nftables", []) if "chain" in item)
    return [
        (chain["family"], chain["table"], chain["name"])
        for chain in chains
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and chain["family"] in ("ip", "inet")
    ]


def own_rules(ruleset: Mapping[str, Any], lab: Lab) -> dict[tuple[str, str, str], list[int]]:
    """Handles of the rules that this lab put into chains of other tools."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for item in ruleset.get("nftables", []):
        rule = item.get("rule", {})
        if rule.get("comment") == f"lab {lab.bridge}":
            key = (rule["family"], rule["table"], rule["chain"])
            found.setdefault(key, []).append(rule["handle"])
    return found


def pass_rules(lab: Lab) -> list[str]:
    """Rules that let a lab's traffic through such a chain."""
    comment = f'comment "lab {lab.bridge}"'
    return [
        f'iifname "{lab.bridge}" counter accept {comment}',
        f'oifname "{lab.bridge}" ct state established,related counter accept {comment}',
    ]


def overlaps(lab: Lab, addresses: Sequence[tuple[str, str]]) -> list[str]:
    """Other interfaces ((name, address/prefix) pairs) whose network is the lab's too."""
    return [
        f"{name} has {address}"
        for name, address in addresses
        if name != lab.bridge and ipaddress.IPv4Interface(address).network.overlaps(lab.network)
    ]
