"""The service on lab hosts, driven as its users drive it: playbooks, ssh and HTTP."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

PROJECT = Path(__file__).resolve().parents[2]
INVENTORY = PROJECT / "tests" / "lab" / "inventory"
STATE = Path("/var/lib/dynamo-lab-service")
ADDRESSES = {"control": "10.83.0.11", "old": "10.83.0.12", "new": "10.83.0.13"}


@dataclass
class Run:
    """What a playbook run did, from its events."""

    status: str
    rc: int
    seconds: float
    events: list[dict[str, Any]] = field(repr=False)
    output: str = field(repr=False)

    def results(self, action: str) -> Iterable[tuple[str, dict[str, Any]]]:
        """Host and result of every task that ran a module."""
        for event in self.events:
            data = event["event_data"]
            if event["event"].startswith("runner_on_") and data.get("task_action") == action:
                # A looped task has a result an item.
                whole = data.get("res") or {}
                for result in whole.get("results", [whole] if whole else []):
                    yield data["host"], result

    def changed(self) -> list[str]:
        """Tasks that changed something, with their hosts."""
        return [
            f"{event['event_data']['host']}: {event['event_data']['task']}"
            for event in self.events
            if event["event"] == "runner_on_ok"
            and (event["event_data"].get("res") or {}).get("changed")
        ]

    def restarted(self) -> list[str]:
        """Units that the roll restarted, with their hosts."""
        found = [
            f"{host}: {row['unit']}"
            for host, result in self.results("worker_service")
            for row in result.get("workers", [])
            if row["action"] in ("started", "restarted")
        ]
        return found + [
            f"{host}: {result['invocation']['module_args']['unit']}"
            for host, result in self.results("unit_restart")
            if result.get("restarted")
        ]


def play(playbook: str, *options: str, **variables: Any) -> Run:
    """Run a playbook on the test inventory."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dynfleet-") as private:
        done = ansible_runner.run(
            private_data_dir=private,
            project_dir=str(PROJECT),
            playbook=playbook,
            inventory=str(INVENTORY),
            extravars=variables or None,
            cmdline=" ".join(options) or None,
            envvars={"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
            quiet=True,
        )
        seconds = time.monotonic() - start
        return Run(done.status, done.rc, seconds, list(done.events), done.stdout.read())


def ssh(host: str, command: str, timeout: float = 60) -> str:
    """Run a shell command on a lab host; its standard output."""
    return subprocess.run(
        [
            "ssh",
            *("-i", str(STATE / "ssh/id_ed25519")),
            *("-o", f"UserKnownHostsFile={STATE / 'ssh/known_hosts'}"),
            *("-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes"),
            f"root@{ADDRESSES[host]}",
            command,
        ],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=True,
    ).stdout


def units(host: str) -> list[str]:
    """Our services on a host; not those that another unit only names."""
    listed = ssh(host, "systemctl list-units --plain --no-legend --all 'dynamo-*.service'")
    rows = [line.split() for line in listed.splitlines() if line.strip()]
    return [row[0] for row in rows if row[1] != "not-found"]


def main_pids() -> dict[str, int]:
    """Main process of each of our services, by `host: unit`."""
    found = {}
    for host in ADDRESSES:
        for unit in units(host):
            found[f"{host}: {unit}"] = int(ssh(host, f"systemctl show -P MainPID '{unit}'"))
    return found


def wait_active(host: str, unit: str, other_than: str, seconds: float = 60) -> None:
    """Wait until a unit is active with another main process than before."""
    command = f"systemctl show -p ActiveState -p MainPID '{unit}'"
    deadline = time.monotonic() + seconds
    while True:
        seen = dict(line.split("=", 1) for line in ssh(host, command).splitlines())
        if seen["ActiveState"] == "active" and seen["MainPID"] not in ("0", other_than):
            return
        assert time.monotonic() < deadline, f"{host}: {unit} is {seen} after {seconds} s"
        time.sleep(0.5)


def verify_until(seconds: float) -> Run:
    """Run verify.yml until it passes; the last run where it never does."""
    deadline = time.monotonic() + seconds
    while True:
        run = play("playbooks/verify.yml")
        if run.rc == 0 or time.monotonic() > deadline:
            return run
        time.sleep(2)
