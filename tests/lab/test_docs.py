"""Commands of the pages on hosts, as printed but for the names of hosts.

tests/unit/docs has all of them; here are those that a deployed service answers without harm. Rolls,
removals, bundles and restores have tests of their own, and make, mask or replace things.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import service

sys.path.append(str(service.PROJECT / "tests/tools"))
import doc_commands

pytestmark = pytest.mark.lab
READ_ONLY = ("status", "verify", "plan", "etcd_snapshot", "rolling_restart")
# In this order: a drained worker is put back.
IN_TURN = ("drain", "undrain")
HOSTS = {"gpu1": "new", "gpu2": "old", "lab": "lab"}


def commands() -> list[str]:
    """Those that are run here, each once."""
    found: dict[str, int] = {}
    for command in doc_commands.every():
        match = re.search(r"^(?:\.venv/bin/)?ansible-playbook playbooks/(\w+)\.yml", command.text)
        verb = match.group(1) if match else ""
        if verb in READ_ONLY and not re.search(r"roll_(force|workers)|topology_file", command.text):
            found.setdefault(command.text, 0)
        elif verb in IN_TURN:
            found.setdefault(command.text, 1 + IN_TURN.index(verb))
        elif command.text.startswith(("ansible lab -m", "ansible gpu1 -m gpu_topology")):
            found.setdefault(command.text.split(" >", maxsplit=1)[0], 0)
    return sorted(found, key=lambda text: found[text])


def test_there_are_some() -> None:
    verbs = " ".join(commands())
    assert all(f"playbooks/{verb}.yml" in verbs for verb in (*READ_ONLY, *IN_TURN))


@pytest.mark.parametrize("text", commands())
def test_runs_as_printed(deployed: service.Run, text: str) -> None:
    for printed, here in HOSTS.items():
        text = re.sub(rf"\b{printed}\b", here, text)
    path = f"{service.PROJECT}/.venv/bin:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=service.PROJECT,
        env={**os.environ, "PATH": path, "ANSIBLE_INVENTORY": str(service.INVENTORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
