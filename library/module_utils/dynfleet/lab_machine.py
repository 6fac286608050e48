"""The machine under the lab: commands, mounts, bridge, forwarding, address translation."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

from ansible.module_utils.dynfleet import lab as pure
from ansible.module_utils.dynfleet.lab import Lab

NET = Path("/sys/class/net")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Shared by all labs of the machine: the switch is put back when the last one goes.
FORWARDING_RECORD = Path("/run/dynamo-lab-forwarding.json")


class LabError(Exception):
    """Something that only the user can mend; the text says what and how."""


def run(*command: str, text: Optional[str] = None, timeout: float = 60) -> str:
    """Run a command and return what it prints. Failing, it says what the command said."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed; playbooks/lab_up.yml installs it") from None
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def mounts_below(path: Path) -> list[str]:
    """Mount points at a path and below it, the deepest last."""
    # Spaces and the like are written as octal escapes there.
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [p for p in points if p == str(path) or p.startswith(f"{path}/")]


def unmount_below(path: Path) -> None:
    """Unmount all of that."""
    for point in reversed(mounts_below(path)):
        run("umount", "--lazy", point)
    if left := mounts_below(path):
        raise LabError(f"{', '.join(left)}: still mounted; unmount it and run this again")


def default_mtu() -> int:
    """MTU of the machine's default route: larger packets of a host would be lost there."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "default") or "[]")
    if not routes:
        return 1500
    return int((NET / routes[0]["dev"] / "mtu").read_text())


class Network:
    """Bridge, forwarding and address translation of one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.device = NET / lab.bridge
        self.alias = f"lab in {lab.directory}"

    def check(self) -> None:
        """Refuse a bridge or subnet that is in use by something else."""
        links = json.loads(run("ip", "-json", "-4", "address", "show") or "[]")
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
        """What is missing of the network, in words."""
        steps = []
        if not self.bridge_is_right():
            steps.append(f"bridge {self.lab.bridge}")
        if FORWARDING.read_text().strip() != "1" or self.lab.bridge not in forwarding_users():
            steps.append("ip_forward")
        rules = self.ruleset()
        if not any(
            item.get("table", {}).get("name") == self.lab.bridge for item in rules["nftables"]
        ):
            steps.append(f"nftables table {self.lab.bridge}")
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
        held = [f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"]]
        wanted = f"{self.lab.gateway}/{self.lab.network.prefixlen}"
        return held == [wanted] and link["mtu"] == default_mtu() and "UP" in link["flags"]

    def repair(self) -> None:
        """Make what is missing."""
        bridge = self.lab.bridge
        if not self.bridge_is_right():
            if not self.device.exists():
                run("ip", "link", "add", bridge, "type", "bridge")
            run("ip", "link", "set", bridge, "alias", self.alias)
            run("ip", "-4", "address", "flush", "dev", bridge)
            prefix = self.lab.network.prefixlen
            run("ip", "address", "add", f"{self.lab.gateway}/{prefix}", "dev", bridge)
            run("ip", "link", "set", bridge, "mtu", str(default_mtu()), "up")
        use_forwarding(bridge)
        run("nft", "--file", "-", text=pure.nat_rules(self.lab))
        rules = self.ruleset()
        self.drop_pass_rules(rules)
        for chain in pure.blocking_chains(rules):
            for rule in pure.pass_rules(self.lab):
                run("nft", "insert", "rule", *chain, rule)

    def drop_pass_rules(self, rules: dict[str, Any]) -> None:
        for chain, handles in pure.own_rules(rules, self.lab).items():
            for handle in handles:
                run("nft", "delete", "rule", *chain, "handle", str(handle))

    def remove(self) -> bool:
        """Remove all of it; whether there was something."""
        found = False
        if self.device.exists() and self.owner() == self.alias:
            run("ip", "link", "delete", self.lab.bridge)
            found = True
        with suppress(LabError):
            run("nft", "delete", "table", "ip", self.lab.bridge)
            found = True
        with suppress(LabError):
            self.drop_pass_rules(self.ruleset())
        return leave_forwarding(self.lab.bridge) or found

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


def use_forwarding(name: str) -> None:
    """Switch forwarding on, and remember how it was found."""
    record = {"was": FORWARDING.read_text().strip(), "labs": []}
    with suppress(OSError, ValueError):
        record = json.loads(FORWARDING_RECORD.read_text())
    record["labs"] = sorted({*record["labs"], name})
    FORWARDING_RECORD.write_text(json.dumps(record))
    FORWARDING.write_text("1\n")


def leave_forwarding(name: str) -> bool:
    """Put the switch back when no lab needs it any more."""
    users = forwarding_users()
    if name not in users:
        return False
    record = json.loads(FORWARDING_RECORD.read_text())
    record["labs"] = [user for user in users if user != name]
    if record["labs"]:
        FORWARDING_RECORD.write_text(json.dumps(record))
    else:
        FORWARDING.write_text(record["was"] + "\n")
        FORWARDING_RECORD.unlink()
    return True


def lock_directory(path: Path) -> int:
    """Hold a directory against a second run; the lock goes with the process."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)  # removed by the run that we waited for
