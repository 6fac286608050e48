"""A lab's hosts and the service on them, as its inventory says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.verify import client

from drills import PROJECT

STARTED = "39f53479d3a045ac8e11786248231fbf"  # systemd's message of a unit that was started
MIGRATIONS = re.compile(r"^dynamo_frontend_model_migration_total\{.*\} (\d+)", re.MULTILINE)
REGISTERED = re.compile(r"^dynamo_component_router_worker_registered\{", re.MULTILINE)


class DrillError(Exception):
    """The drill could not be done; the message says why."""


@dataclass(frozen=True)
class Played:
    """A playbook's run."""

    rc: int
    output: str
    seconds: float


class Fleet:
    """The lab of an inventory."""

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory
        listed = self._ansible("ansible-inventory", "--list")
        variables = listed["_meta"]["hostvars"]
        self.groups: dict[str, list[str]] = {
            name: group["hosts"] for name, group in listed.items() if "hosts" in group
        }
        self.hosts: dict[str, str] = {
            name: variables[name]["ansible_host"] for name in self.groups["lab"]
        }
        some = variables[self.groups["lab"][0]]
        self.state = Path(some["lab_dir"])
        self.model: str = some["dynamo_model_name"]
        self.ports: dict[str, int] = some["dynamo_ports"]
        self.workers: dict[str, int] = {}

    def _ansible(self, program: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [program, "--inventory", str(self.inventory), *arguments],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ssh(self, host: str, command: str, timeout: float = 60) -> str:
        """Run a shell command on a host; its standard output."""
        options = {
            "UserKnownHostsFile": str(self.state / "ssh/known_hosts"),
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "ControlMaster": "auto",
            "ControlPersist": "300",
            "ControlPath": str(self.state / "ssh/drills-%h"),
        }
        arguments = ["ssh", "-i", str(self.state / "ssh/id_ed25519")]
        arguments += [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        done = subprocess.run(
            [*arguments, f"root@{self.hosts[host]}", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a pipe would be held open by the shared connection
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise DrillError(f"{host}: '{command}' ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def command(self, playbook: str, *options: str) -> list[str]:
        """The command that runs a playbook here."""
        return ["ansible-playbook", "--inventory", str(self.inventory), *options, playbook]

    def environment(self) -> dict[str, str]:
        """The environment of a playbook's run: this project's configuration, output as it comes."""
        config = str(PROJECT / "ansible.cfg")
        return {**os.environ, "ANSIBLE_CONFIG": config, "PYTHONUNBUFFERED": "1"}

    def play(self, playbook: str, *options: str, timeout: float = 1200) -> Played:
        """Run a playbook to its end."""
        start = time.monotonic()
        done = subprocess.run(
            self.command(playbook, *options),
            cwd=PROJECT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Played(done.returncode, done.stdout, time.monotonic() - start)

    def must_play(self, playbook: str, *options: str) -> Played:
        """Run a playbook that has to succeed."""
        done = self.play(playbook, *options)
        if done.rc != 0:
            raise DrillError(f"{playbook} ended with {done.rc}:\n{done.output[-4000:]}")
        return done

    def frontends(self) -> list[str]:
        """Base URLs of the frontends."""
        port = self.ports["frontend_http"]
        return [f"http://{self.hosts[name]}:{port}" for name in self.groups["frontends"]]

    def etcd(self, host: str) -> str:
        """Client URL of a host's etcd member."""
        return f"http://{self.hosts[host]}:{self.ports['etcd_client']}"

    def count_workers(self) -> None:
        """Learn how many workers each host has from the plans on the hosts."""
        for host in self.groups["workers"]:
            plan = json.loads(self.ssh(host, "cat /etc/dynamo/plan.json"))
            self.workers[host] = len(plan["workers"])

    def lacking(self, without: str = "") -> str:
        """What is missing for full health, seen over HTTP; empty when all is well.

        without: a host that is switched off: the rest has to be well, and to know that it is gone.
        """
        expected = sum(count for host, count in self.workers.items() if host != without)
        for host in self.groups["etcd"]:
            if host != without:
                answer = client.ask(f"{self.etcd(host)}/health", 2)
                if (answer.document() or {}).get("health") != "true":
                    return f"etcd on {host}: {answer.brief()}"
        for host in self.groups["nats"]:
            url = f"http://{self.hosts[host]}:{self.ports['nats_monitor']}/healthz"
            if host != without and client.ask(f"{url}?js-server-only=true", 2).status != 200:
                return f"NATS on {host}"
        for host, count in self.workers.items():
            for index in range(0 if host == without else count):
                port = self.ports["worker_system"] + index
                answer = client.ask(f"http://{self.hosts[host]}:{port}/health", 2)
                if answer.status != 200:
                    return f"worker {index} on {host}: {answer.brief()}"
        for host in self.groups["frontends"]:
            if host == without:
                continue
            url = f"http://{self.hosts[host]}:{self.ports['frontend_http']}"
            models = client.ask(f"{url}/v1/models", 2)
            if f'"{self.model}"' not in models.body:
                return f"frontend on {host}: {models.brief()}"
            known = len(REGISTERED.findall(client.ask(f"{url}/metrics", 2).body))
            if known != expected:
                return f"frontend on {host} knows {known} workers of {expected}"
        return ""

    def wait_healthy(self, seconds: float, without: str = "") -> float:
        """Wait for full health; the time (since the epoch) from which on it was seen."""
        deadline = time.monotonic() + seconds
        while True:
            at = time.time()
            lacking = self.lacking(without)
            if not lacking:
                # Twice: a dying process may answer once more.
                time.sleep(1)
                if not self.lacking(without):
                    return at
            elif time.monotonic() > deadline:
                raise DrillError(f"not healthy after {seconds:.0f} s: {lacking}")
            time.sleep(0.3)

    def migrations(self) -> int:
        """Requests that frontends tried to move to another worker, since their own starts."""
        pages = [client.ask(f"{url}/metrics", 2).body for url in self.frontends()]
        return sum(int(number) for page in pages for number in MIGRATIONS.findall(page))

    def starts(self, host: str, unit: str, since: float) -> int:
        """How often systemd has started a unit since a time."""
        matches = f"MESSAGE_ID={STARTED} UNIT={unit}"
        out = self.ssh(host, f"journalctl --quiet --output=cat --since=@{since:.0f} {matches}")
        return len(out.splitlines())
