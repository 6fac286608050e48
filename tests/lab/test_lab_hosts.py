"""A small lab beside any other: boot, reach, break, repair, and leave nothing behind."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible_runner
import lab_hosts
import pytest
from ansible.module_utils.testing import patch_module_args

pytestmark = pytest.mark.lab
PROJECT = Path(__file__).resolve().parents[2]
BRIDGE = "dyntest0"
DIRECTORY = Path("/var/lib/dynamo-lab-test")
ADDRESSES = {"old": "10.251.77.11", "new": "10.251.77.12"}
SUITES = {"old": "bookworm", "new": "trixie"}


class Lab:
    """The lab under test, driven by the playbooks that a user runs."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.inventory = place / "hosts.yml"
        self.topology = place / "topology"
        self.topology.write_text("first\n")
        self.hosts: dict[str, dict[str, Any]] = {
            name: {"ansible_host": ADDRESSES[name], "lab_suite": SUITES[name]} for name in SUITES
        }
        self.hosts["old"]["lab_topology"] = str(self.topology)
        self.parameters: dict[str, Any] = {}

    def play(self, verb: str, *options: str) -> dict[str, Any]:
        """Run a playbook; the result of its lab_hosts task."""
        variables = {
            "lab_dir": str(DIRECTORY),
            "lab_bridge": BRIDGE,
            "lab_subnet": "10.251.77.0/24",
        }
        content = {"all": {"vars": variables, "children": {"lab": {"hosts": self.hosts}}}}
        self.inventory.write_text(json.dumps(content))
        done = ansible_runner.run(
            # A fresh one each time: the runner keeps options there for the next run.
            private_data_dir=tempfile.mkdtemp(dir=self.place),
            project_dir=str(PROJECT),
            playbook=f"playbooks/lab_{verb}.yml",
            inventory=str(self.inventory),
            cmdline=" ".join(options) or None,
            envvars={"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
            quiet=True,
        )
        assert done.status == "successful", done.stdout.read()
        results: list[dict[str, Any]] = [
            event["event_data"]["res"]
            for event in done.events
            if event["event"] == "runner_on_ok"
            and event["event_data"]["task_action"] == "lab_hosts"
        ]
        return results[-1]

    def up(self) -> dict[str, list[str]]:
        """Bring it up by the playbook; what each part needed."""
        result = self.play("up")
        self.parameters = result["invocation"]["module_args"]
        return done_by(result)

    def repair(self, **changes: Any) -> dict[str, list[str]]:
        """Call the module as the playbook did; what each part needed."""
        self.parameters.update(changes)
        printed = io.StringIO()
        with (
            patch_module_args(self.parameters),
            contextlib.redirect_stdout(printed),
            pytest.raises(SystemExit),
        ):
            lab_hosts.main()
        result = json.loads(printed.getvalue())
        assert "actions" in result, result
        return done_by(result)

    def ssh(self, name: str, command: str, timeout: float = 60) -> str:
        """Run a command on a host, by its key and with strict checking of the host's."""
        options = (
            f"UserKnownHostsFile={DIRECTORY}/ssh/known_hosts",
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=2",
            "BatchMode=yes",
        )
        done = subprocess.run(
            [
                "ssh",
                f"-i{DIRECTORY}/ssh/id_ed25519",
                *(f"-o{option}" for option in options),
                f"root@{ADDRESSES[name]}",
                command,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
        )
        return done.stdout.strip()

    def boot_id(self, name: str) -> str:
        try:
            return self.ssh(name, "cat /proc/sys/kernel/random/boot_id")
        except subprocess.CalledProcessError:
            return ""


def done_by(result: dict[str, Any]) -> dict[str, list[str]]:
    """What was done, without the parts where there was nothing to do."""
    found = {name: steps for name, steps in result["actions"].items() if steps}
    assert result["changed"] == bool(found)
    return found


def nspawn(name: str) -> int:
    """The process that runs a host."""
    argument = f"--directory={DIRECTORY}/hosts/{name}/root"
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if Path(arguments[0]).name == "systemd-nspawn" and argument in arguments:
            return int(entry.name)
    raise AssertionError(f"no nspawn with {argument}")


def traces() -> dict[str, Any]:
    """Whatever on this machine is of the lab under test, and what it may have changed."""
    mark = str(DIRECTORY)
    command_lines = [
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    ]
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
    forwarding = Path("/run/dynamo-lab-forwarding.json")
    users = json.loads(forwarding.read_text())["labs"] if forwarding.exists() else []
    return {
        "processes": [line for line in command_lines if mark.encode() in line],
        "mounts": [m for m in Path("/proc/self/mountinfo").read_text().split() if mark in m],
        "links": [path.name for path in Path("/sys/class/net").iterdir() if "dyntest" in path.name],
        "rules": BRIDGE in rules.stdout,
        "groups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{BRIDGE}*")],
        "files": DIRECTORY.exists(),
        "packages": Path(f"/var/cache/dynamo-lab/apt/hosts/{BRIDGE}").exists(),
        "forwarding": BRIDGE in users,
        "switch": Path("/proc/sys/net/ipv4/ip_forward").read_text() if not users else "",
    }


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    under_test = Lab(tmp_path_factory.mktemp("lab"))
    under_test.play("down")
    before = traces()
    assert not any(value for name, value in before.items() if name != "switch")
    would = under_test.play("up", "--check")["actions"]
    assert would["old"] == would["new"] == ["boot"]
    assert traces() == before
    did = under_test.up()
    assert did["old"] == did["new"] == ["boot"]
    yield under_test
    assert under_test.play("down", "--check")["changed"]
    assert under_test.play("down")["changed"]
    assert traces() == before
    assert not under_test.play("down")["changed"]


@pytest.mark.parametrize("name", list(SUITES))
def test_a_host_is_a_bare_server_on_the_network(lab: Lab, name: str) -> None:
    assert f"VERSION_CODENAME={SUITES[name]}" in lab.ssh(name, "cat /etc/os-release")
    assert lab.ssh(name, "hostname") == name
    # A moment after sshd the last units may still be on their way.
    assert lab.ssh(name, "systemctl is-system-running --wait") == "running"
    listeners = lab.ssh(name, "ss --no-header --listening --tcp --udp --processes")
    assert {line.split('"')[1] for line in listeners.splitlines()} == {"sshd"}
    assert lab.ssh(name, "getent hosts old new | wc --lines") == "2"
    url = "https://pypi.org/simple/pip/"
    assert lab.ssh(name, f"curl --silent --output /dev/null --write-out '%{{http_code}}' {url}")
    script = f"import urllib.request as u; print(u.urlopen('{url}', timeout=30).status)"
    assert lab.ssh(name, f'python3 -c "{script}"') == "200"
    lab.ssh(name, "apt-get install --yes --quiet=2 jq && jq --version")


def test_a_second_run_changes_nothing_and_is_quick(lab: Lab) -> None:
    begin = time.monotonic()
    assert lab.up() == {}
    assert time.monotonic() - begin < 8


@pytest.mark.parametrize("name", list(SUITES))
def test_a_reboot_from_inside_comes_back_with_its_disk(lab: Lab, name: str) -> None:
    before = lab.boot_id(name)
    lab.ssh(name, "touch /root/kept && systemctl reboot")
    deadline = time.monotonic() + 30
    while lab.boot_id(name) in (before, ""):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    lab.ssh(name, "test -e /root/kept")
    assert lab.repair() == {}


def test_a_host_that_died_is_booted_with_its_disk(lab: Lab) -> None:
    lab.ssh("old", "touch /root/survives")
    os.kill(nspawn("old"), 9)
    assert lab.repair() == {"old": ["boot"]}
    lab.ssh("old", "test -e /root/survives")


@pytest.mark.skipif(
    Path("/run/systemd/system").is_dir(), reason="there, systemd itself is the supervisor"
)
def test_a_host_without_its_supervisor_would_not_come_back_from_a_reboot(lab: Lab) -> None:
    pid = nspawn("new")
    status = Path(f"/proc/{pid}/status").read_text()
    os.kill(int(status.split("PPid:")[1].split()[0]), 9)
    assert lab.repair() == {"new": ["restart"]}
    assert nspawn("new") != pid


def test_drills_pull_the_plug_and_put_it_in_again(lab: Lab) -> None:
    before = lab.boot_id("new")
    assert lab.repair(state="stopped", names=["new"]) == {"new": ["power off"]}
    assert lab.repair() == {}
    assert lab.boot_id("new") == ""
    assert lab.repair(state="restarted") == {"new": ["power cycle"]}
    assert lab.boot_id("new") not in (before, "")
    assert lab.repair(state="present", names=[]) == {}


def test_a_missing_bridge_is_made_and_the_hosts_put_on_it(lab: Lab) -> None:
    subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
    attach = ["attach to the bridge"]
    assert lab.repair() == {"lab": [f"bridge {BRIDGE}"], "old": attach, "new": attach}
    assert lab.boot_id("new")


def test_a_changed_topology_reaches_the_running_host(lab: Lab) -> None:
    before = lab.boot_id("old")
    lab.topology.write_text("second\n")
    assert lab.repair() == {"old": ["write /etc/lab/gpu_topology"]}
    assert lab.ssh("old", "cat /etc/lab/gpu_topology") == "second"
    assert lab.boot_id("old") == before


def test_a_half_mounted_disk_and_a_lost_record_are_repaired(lab: Lab) -> None:
    subprocess.run(["umount", "--lazy", DIRECTORY / "hosts/old/root"], check=True)
    (DIRECTORY / "lab.json").unlink()
    assert lab.repair() == {"old": ["boot"]}
    assert lab.repair() == {}


def test_another_suite_makes_that_host_anew(lab: Lab) -> None:
    old, new = lab.parameters["hosts"]
    old["suite"] = "trixie"
    assert lab.repair(hosts=[old, new]) == {"old": ["make anew"]}
    assert "VERSION_CODENAME=trixie" in lab.ssh("old", "cat /etc/os-release")


def test_a_host_that_is_no_longer_named_goes(lab: Lab) -> None:
    assert lab.repair(hosts=lab.parameters["hosts"][1:]) == {
        "old": ["remove"],
        "new": ["write /etc/hosts"],
    }
    assert not (DIRECTORY / "hosts/old").exists()
