"""Pushing from the controller takes the connection that Ansible has, however that is given.

Through ansible-playbook and the role, to a real sshd with real sudo and su.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_cases as cases
import pytest
import yaml
from ansible.module_utils.dynfleet.model import manifest

sys.path.append(str(Path(__file__).parent))
import ssh_host

ROOT = cases.ROOT
PLAY = """- hosts: all
  gather_facts: false
  any_errors_fatal: false
  roles: [model]
"""
SHARED: dict[str, Any] = {"ansible_python_interpreter": "/usr/bin/python3", "model_user": "nobody"}

pytestmark = pytest.mark.skipif(not ssh_host.NEEDED, reason="needs root, openssh-server and sudo")


@pytest.fixture(scope="module")
def host() -> Iterator[ssh_host.SshHost]:
    directory = Path(tempfile.mkdtemp(prefix="push-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        with ssh_host.SshHost(directory) as made:
            yield made
    finally:
        shutil.rmtree(directory)


class Site:
    """A controller and its inventory: hosts that differ in how they are reached."""

    def __init__(self, directory: Path, host: ssh_host.SshHost) -> None:
        self.directory, self.host = directory, host
        cases.write(directory / "the model")
        path = directory / "model.json"
        path.write_text(json.dumps(manifest.content(cases.files())))
        self.target = Path(tempfile.mkdtemp(dir=host.directory))
        self.target.chmod(0o755)
        self.shared = {
            **SHARED,
            "ansible_port": host.port,
            "ansible_host": "127.0.0.1",
            "ansible_ssh_common_args": self.options(),
            "ansible_ssh_private_key_file": str(host.key),
            # Not one for all: hosts of one address would share their connections.
            "ansible_control_path_dir": f"{self.target}/cp-{{{{ inventory_hostname }}}}",
            "model_source": f"controller:{directory}/the model",
            "model_manifest": str(path),
            "model_id": "one",
            "model_path": f"{self.target}/{{{{ inventory_hostname }}}}",
        }

    def options(self) -> str:
        """Options that every client here needs."""
        return f"-o UserKnownHostsFile='{self.host.known_hosts}' -o StrictHostKeyChecking=yes"

    def run(
        self, hosts: dict[str, Any], *options: str, play: str = PLAY, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the role on the hosts."""
        (self.directory / "hosts.yml").write_text(
            yaml.safe_dump({"all": {"vars": self.shared, "hosts": hosts}}, sort_keys=False)
        )
        (self.directory / "play.yml").write_text(play)
        argv = ["ansible-playbook", "-i", "hosts.yml", "play.yml", *options]
        return subprocess.run(
            argv,
            cwd=self.directory,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def arrived(self, name: str) -> bool:
        """Whether a host has the whole model, and root made it."""
        there = self.target / name
        return all(
            (there / path).is_file()
            and (there / path).read_bytes() == data
            and (there / path).stat().st_uid == 0
            for path, data in cases.CONTENT.items()
        )

    def expect(self, done: subprocess.CompletedProcess[str], *names: str) -> None:
        missing = [name for name in names if not self.arrived(name)]
        assert done.returncode == 0 and not missing, f"{missing}\n{done.stdout}{done.stderr}"


@pytest.fixture
def site(tmp_path: Path, host: ssh_host.SshHost) -> Iterator[Site]:
    made = Site(tmp_path, host)
    try:
        yield made
    finally:
        for path in made.target.glob("cp-*/*"):
            command = ["ssh", "-O", "exit", "-o", f"ControlPath={path}", "::1"]
            subprocess.run(command, capture_output=True, check=False)


def test_ways_of_the_inventory(site: Site) -> None:
    port, key = site.host.port, site.host.key
    through = (
        f'ssh -p {port} -l ops -i "{key}" -o IdentitiesOnly=yes '
        f'-o "UserKnownHostsFile={site.host.known_hosts}" -W "[%h]:%p" 127.0.0.1'
    )
    calls, breaks = site.directory / "calls", site.directory / "breaks"
    breaks.write_text(
        f"echo >> {calls}; case $(wc -l < {calls}) in [23]) exit 1; esac\n"
        f"exec {through.replace('[%h]:%p', '$1')}\n"
    )
    password = {"ansible_ssh_private_key_file": "/dev/null", "ansible_password": ssh_host.PHRASE}
    become = {"ansible_become": True}
    hosts: dict[str, dict[str, Any]] = {
        "root4": {"ansible_user": "root"},
        "root6": {"ansible_user": "root", "ansible_host": "::1"},
        "sudo": {"ansible_user": "ops", **become},
        "sudo-of-the-play": {"ansible_user": "ops"},
        "sudo-asks": {
            **{"ansible_user": "asked", **become},
            "ansible_become_password": ssh_host.PHRASE,
        },
        "su-asks": {
            **{"ansible_user": "none", **password, **become},
            **{"ansible_become_method": "su", "ansible_become_password": ssh_host.PHRASE},
        },
        "login-asks": {"ansible_user": "root", **password},
        "nested-quotes": {
            **{"ansible_user": "ops", **become},
            "ansible_ssh_common_args": f"{site.options()} -o ProxyCommand='{through}'",
        },
        "no-master": {"ansible_user": "ops", **become, "ansible_ssh_args": "-C"},
        "no-pipelining": {"ansible_user": "ops", **become, "ansible_pipelining": False},
        "here": {"ansible_connection": "local"},
        # The first connection is the tasks', the second the push's.
        "breaks-off": {
            **{"ansible_user": "ops", **become, "ansible_ssh_retries": 0},
            "ansible_ssh_common_args": f"{site.options()} -o ProxyCommand='sh {breaks} %h:%p'",
        },
    }
    rest = PLAY.replace("all", "all:!sudo-of-the-play")
    played = PLAY.replace("all", "sudo-of-the-play\n  become: true")
    done = site.run(hosts, play=rest + played)
    site.expect(done, *hosts)
    assert calls.read_text().count("\n") >= 4
    assert ssh_host.PHRASE not in done.stdout + done.stderr


def test_become_of_the_command_line(site: Site) -> None:
    site.expect(site.run({"sudo": {"ansible_user": "ops"}}, "--become"), "sudo")


def test_become_of_the_configuration_and_passwords_of_the_command_line(site: Site) -> None:
    text = (ROOT / "ansible.cfg").read_text().replace("./", f"{ROOT}/")
    path = site.directory / "ansible.cfg"
    path.write_text(f"{text}\n[privilege_escalation]\nbecome = true\n")
    password = site.directory / "password"
    password.write_text(ssh_host.PHRASE)
    done = site.run(
        {"asks": {"ansible_user": "none", "ansible_become_method": "su"}},
        *(f"--{kind}-password-file={password}" for kind in ("connection", "become")),
        ANSIBLE_CONFIG=str(path),
    )
    site.expect(done, "asks")
