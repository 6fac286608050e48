"""How Ansible logs in and becomes root, as far as the inventory alone says that it cannot work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

MECHANISM = "ansible_ssh_password_mechanism"
PASSWORDS = frozenset(("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"))
# Read for these checks only; a password's value is never asked for.
VARIABLES = frozenset(("ansible_user", "ansible_become", "ansible_become_user", MECHANISM))
# Ansible's own words for no, as text of an inventory in INI format has them.
_NO = frozenset(("no", "n", "off", "0", "false", "f"))


def check(fleet: Fleet) -> Iterator[Problem]:
    """Each host's login, then who its tasks run as."""
    for host in fleet.hosts.values():
        if (host.text("ansible_connection") or "ssh") not in ("ssh", "ansible.builtin.ssh"):
            continue
        if (
            host.text(MECHANISM) == "sshpass"
            and PASSWORDS & host.names
            and not shutil.which("sshpass")
        ):
            yield host.problem(
                MECHANISM,
                "the controller has no sshpass",
                "apt install sshpass, or leave it at ssh_askpass, which needs no program",
            )
        yield from _root(host)


def _root(host: Host) -> Iterator[Problem]:
    """Nearly every task needs root; a variable beats -b and the configuration."""
    user, other = host.text("ansible_user"), host.text("ansible_become_user")
    if str(host.value("ansible_become")).lower() in _NO:
        if user and user != "root":
            yield host.problem(
                "ansible_become",
                f"leaves the tasks to {user}, and they need root",
                "set it to true, or take it out and give -b",
            )
    elif other and other != "root":
        yield host.problem(
            "ansible_become_user",
            "is not root, and the tasks need root",
            "take it out",
        )
