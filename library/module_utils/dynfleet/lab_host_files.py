"""What makes a copied root one particular host: its files, and the command that boots it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible.module_utils.dynfleet.lab import Host, Lab

APT_ARCHIVES = "/var/cache/apt/archives"
TOPOLOGY = "/etc/lab/gpu_topology"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
SSHD = """HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
"""
# nspawn leaves a reboot to whoever started it, by exit status 133. Each boot runs in
# the host's own control groups; the loop itself does not, for version 2 wants inner groups empty.
SUPERVISOR = """groups=$1; shift
while :; do
  (for group in $groups; do echo 0 >"$group/cgroup.procs"; done; exec "$@")
  [ $? -eq 133 ] || exit
done"""


@dataclass(frozen=True)
class File:
    """A wanted file; None as content: it must not be there."""

    content: bytes | None
    mode: int = 0o644
    # Read at boot only, so that a change needs a power cycle.
    boot: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What the hosts take over from the machine and share with each other."""

    resolver: str
    mtu: int
    proxies: Mapping[str, str]
    own_certificates: bool
    authorized_key: str


def environment(around: Surroundings) -> dict[str, str]:
    """Variables that every process of a host gets."""
    variables = dict(around.proxies)
    if around.own_certificates:
        # uv and requests carry their own list of authorities unless told.
        variables["SSL_CERT_FILE"] = variables["REQUESTS_CA_BUNDLE"] = BUNDLE
    return variables


def network_file(lab: Lab, host: Host, mtu: int) -> str:
    """The static address, and none of the protocols that would open a socket."""
    return f"""[Match]
Name=host0

[Link]
MTUBytes={mtu}

[Network]
Address={host.address}/{lab.network.prefixlen}
Gateway={lab.gateway}
DHCP=no
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no
EmitLLDP=no
"""


def hosts_file(fleet: Sequence[Host]) -> str:
    """Every host of the lab by name."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{other.address} {other.name}" for other in fleet]
    return "\n".join(lines) + "\n"


def apt_proxy(proxies: Mapping[str, str]) -> bytes | None:
    """apt's configuration of the proxies."""
    lines = [
        f'Acquire::{scheme}::Proxy "{proxies[f"{scheme}_proxy"]}";\n'
        for scheme in ("http", "https")
        if proxies.get(f"{scheme}_proxy")
    ]
    return "".join(lines).encode() or None


def manager_environment(variables: Mapping[str, str]) -> bytes | None:
    """systemd's default environment for its services."""
    if not variables:
        return None
    # A percent sign starts a specifier there.
    pairs = (f'"{name}={value}"'.replace("%", "%%") for name, value in variables.items())
    return f"[Manager]\nDefaultEnvironment={' '.join(pairs)}\n".encode()


def host_files(
    lab: Lab,
    host: Host,
    fleet: Sequence[Host],
    *,
    around: Surroundings,
    host_key: tuple[bytes, bytes],
    topology: bytes | None,
) -> dict[str, File]:
    """Every file, by path inside the host."""
    variables = environment(around)
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    # From the names, so that it is the same however often the host is made.
    identity = hashlib.sha256(f"{lab.directory}/{host.name}".encode()).hexdigest()[:32]
    return {
        "/etc/hostname": File(f"{host.name}\n".encode(), boot=True),
        "/etc/machine-id": File(f"{identity}\n".encode(), 0o444, boot=True),
        "/etc/hosts": File(hosts_file(fleet).encode()),
        "/etc/resolv.conf": File(around.resolver.encode()),
        "/etc/environment": File(lines.encode()),
        "/etc/apt/apt.conf.d/90lab-proxy": File(apt_proxy(around.proxies)),
        "/etc/systemd/system.conf.d/lab.conf": File(manager_environment(variables), boot=True),
        "/etc/systemd/network/10-lab.network": File(
            network_file(lab, host, around.mtu).encode(), boot=True
        ),
        "/etc/ssh/sshd_config.d/lab.conf": File(SSHD.encode(), boot=True),
        "/etc/ssh/ssh_host_ed25519_key": File(host_key[0], 0o600, boot=True),
        "/etc/ssh/ssh_host_ed25519_key.pub": File(host_key[1], boot=True),
        "/root/.ssh/authorized_keys": File(around.authorized_key.encode(), 0o600),
        TOPOLOGY: File(topology),
    }


def nspawn_command(lab: Lab, host: Host, root: str, archives: str) -> list[str]:
    """The command that boots a host; it is also how its process is known again."""
    binds = [f"--bind={archives}:{APT_ARCHIVES}"]
    for bind in host.binds:
        kind = "bind-ro" if bind.read_only else "bind"
        source, path = (part.replace(":", "\\:") for part in (bind.source, bind.path))
        binds.append(f"--{kind}={source}:{path}")
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        root_argument(root),
        f"--machine={lab.machine(host.name)}",
        f"--hostname={host.name}",
        "--register=no",
        "--keep-unit",
        f"--network-bridge={lab.bridge}",
        "--console=read-only",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        *binds,
    ]


def root_argument(root: str) -> str:
    """The argument that no other process of the machine has."""
    return f"--directory={root}"


def nspawn_environment() -> dict[str, str]:
    """Version 2 control groups whatever the machine runs (Debian 13 boots on nothing else),
    and /tmp on the disk, where it does not take the machine's memory."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
    }


def unit_command(lab: Lab, host: Host, command: Sequence[str]) -> list[str]:
    """The same boot as a service of the machine's systemd: it outlives the session that
    asked for it, has control groups of its own, and is started again on exit status 133."""
    properties = ("Delegate=yes", "KillMode=mixed", "SuccessExitStatus=133")
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={lab.machine(host.name)}",
        f"--description=Lab host {host.name}",
        *(f"--property={text}" for text in properties),
        "--property=RestartForceExitStatus=133",
        *(f"--setenv={name}={value}" for name, value in nspawn_environment().items()),
        "--",
        *command,
    ]
