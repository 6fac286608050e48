"""Bridge, forwarding and address translation of a lab."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet import lab as pure
from ansible.module_utils.dynfleet.lab import Lab
from ansible.module_utils.dynfleet.lab_machine import NET, LabError, default_mtu, run

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Shared by all labs of the machine: the switch is put back when the last one goes.
FORWARDING_RECORD = Path("/run/dynamo-lab-forwarding.json")


class Network:
    """What one lab needs of the machine's network."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.device = NET / lab.bridge
        self.alias = f"lab in {lab.directory}"

    def check(self) -> None:
        """Refuse a bridge or subnet that is in use by something else."""
        # A bare machine gets the command later, and is asked again then.
        known = shutil.which("ip") is not None
        links = json.loads(run("ip", "-json", "-4", "address", "show")) if known else []
        pairs = [
            (link["ifname"], f"{info['local']}/{info['prefixlen']}")
            for link in links
            for info in link.get("addr_info", [])
        ]
        if found := pure.overlaps(self.lab, pairs):
            raise LabError(
                f"lab_subnet {self.lab.subnet} is in use on this machine: {', '.join(found)}; "
                "set lab_subnet, and ansible_host of the hosts, to a free network"
            )
        if self.device.exists() and self.owner() != self.alias:
            raise LabError(
                f"lab_bridge {self.lab.bridge} is an interface of something else "
                f"({self.owner() or 'no alias'}); set lab_bridge to a free name"
            )

    def owner(self) -> str:
        with suppress(OSError):
            return (self.device / "ifalias").read_text().strip()
        return ""

    def ruleset(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run("nft", "--json", "--handle", "list", "ruleset"))
        return found

    def pending(self) -> list[str]:
        """What is missing, in words."""
        rules = self.ruleset()
        steps = [] if self.bridge_is_right() else [f"bridge {self.lab.bridge}"]
        if not pure.has_table_rules(rules, self.lab):
            steps.append(f"nftables table {self.lab.bridge}")
        if not self.lab.internet:
            return steps
        if FORWARDING.read_text().strip() != "1" or self.lab.bridge not in forwarding_users():
            steps.append("ip_forward")
        own = pure.own_rules(rules, self.lab)
        steps += [
            f"pass through {' '.join(chain)}"
            for chain in pure.blocking_chains(rules)
            if len(own.get(chain, [])) != len(pure.pass_rules(self.lab))
        ]
        return steps

    def bridge_is_right(self) -> bool:
        if not (self.device / "bridge").is_dir():
            return False
        link = json.loads(run("ip", "-json", "-4", "address", "show", self.lab.bridge))[0]
        held = [f"{info['local']}/{info['prefixlen']}" for info in link.get("addr_info", [])]
        wanted = f"{self.lab.gateway}/{self.lab.network.prefixlen}"
        return held == [wanted] and link["mtu"] == default_mtu() and "UP" in link["flags"]

    def repair(self) -> None:
        """Make what is missing."""
        try:
            if not self.bridge_is_right():
                self.make_bridge()
            if self.lab.internet:
                use_forwarding(self.lab.bridge)
            run("nft", "--file", "-", text=pure.table_rules(self.lab))
        except LabError as error:
            raise LabError(
                f"{error}\nThe kernel needs bridges, veth pairs and nftables with address "
                "translation: modprobe -a bridge veth nf_tables nft_masq"
            ) from None
        rules = self.ruleset()
        self.drop_pass_rules(rules)
        for chain in pure.blocking_chains(rules) if self.lab.internet else ():
            for rule in pure.pass_rules(self.lab):
                run("nft", "insert", "rule", *chain, rule)

    def make_bridge(self) -> None:
        bridge = self.lab.bridge
        if not self.device.exists():
            run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "link", "set", bridge, "alias", self.alias)
        run("ip", "-4", "address", "flush", "dev", bridge)
        prefix = self.lab.network.prefixlen
        run("ip", "address", "add", f"{self.lab.gateway}/{prefix}", "dev", bridge)
        run("ip", "link", "set", bridge, "mtu", str(default_mtu()), "up")

    def drop_pass_rules(self, rules: dict[str, Any]) -> None:
        for chain, handles in pure.own_rules(rules, self.lab).items():
            for handle in handles:
                run("nft", "delete", "rule", *chain, "handle", str(handle))

    def remains(self) -> list[str]:
        """What there is of it, in words."""
        found = []
        if self.device.exists() and self.owner() == self.alias:
            found.append(f"bridge {self.lab.bridge}")
        # Where nft is not installed there are no rules of ours.
        with suppress(LabError):
            rules = self.ruleset()
            if pure.has_table(rules, self.lab):
                found.append(f"nftables table {self.lab.bridge}")
            found += [f"rules in {' '.join(chain)}" for chain in pure.own_rules(rules, self.lab)]
        if self.lab.bridge in forwarding_users():
            found.append("ip_forward")
        return found

    def remove(self) -> None:
        """Remove all of it."""
        if self.device.exists() and self.owner() == self.alias:
            run("ip", "link", "delete", self.lab.bridge)
        with suppress(LabError):
            rules = self.ruleset()
            if pure.has_table(rules, self.lab):
                run("nft", "delete", "table", "ip", self.lab.bridge)
            self.drop_pass_rules(rules)
        leave_forwarding(self.lab.bridge)

    def ports(self) -> set[str]:
        """Interfaces on the bridge."""
        with suppress(OSError):
            return {entry.name for entry in (self.device / "brif").iterdir()}
        return set()


def forwarding_users() -> list[str]:
    """Labs that have the switch on."""
    with suppress(OSError, ValueError):
        users: list[str] = json.loads(FORWARDING_RECORD.read_text())["labs"]
        return users
    return []


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two labs that come and go together do not lose each other's entry."""
    with FORWARDING.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def use_forwarding(name: str) -> None:
    """Switch forwarding on, and remember how it was found."""
    with one_at_a_time():
        record = {"was": FORWARDING.read_text().strip(), "labs": []}
        with suppress(OSError, ValueError):
            record = json.loads(FORWARDING_RECORD.read_text())
        record["labs"] = sorted({*record["labs"], name})
        FORWARDING_RECORD.write_text(json.dumps(record))
        FORWARDING.write_text("1\n")


def leave_forwarding(name: str) -> None:
    """Put the switch back when no lab needs it any more."""
    with one_at_a_time():
        users = forwarding_users()
        if name not in users:
            return
        record = json.loads(FORWARDING_RECORD.read_text())
        record["labs"] = [user for user in users if user != name]
        if record["labs"]:
            FORWARDING_RECORD.write_text(json.dumps(record))
        else:
            FORWARDING.write_text(record["was"] + "\n")
            FORWARDING_RECORD.unlink()
