"""READMEs of the roles say what the argument specs say, and their examples can be played."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
ROLES = sorted(path.parents[1] for path in ROOT.glob("roles/*/meta/main.yml"))


def run(*command: str | Path) -> str:
    """Output of a command in the project; both streams where it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_documents_are_current() -> None:
    run(sys.executable, "tools/role-readmes", "--check")


def test_examples_can_be_played(tmp_path: Path) -> None:
    """Each is a playbook of roles that are there."""
    plays = [{"import_playbook": str(role / "meta/example.yml")} for role in ROLES]
    (tmp_path / "all.yml").write_text(yaml.safe_dump(plays))
    run(BIN / "ansible-playbook", "--syntax-check", "-i", "inventory/example", tmp_path / "all.yml")


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_examples_set_variables_that_there_are(role: Path) -> None:
    specs = role / "meta/argument_specs.yml"
    known: dict[str, Any] = {}
    if specs.exists():
        known = yaml.safe_load(specs.read_text())["argument_specs"]["main"]["options"]
    text = (role / "meta/example.yml").read_text()
    assert text.startswith("# Needs ")
    for play in yaml.safe_load(text):
        for item in play["roles"]:
            if item["role"] == role.name:
                own = {name for name in item.get("vars", {}) if name.startswith(f"{role.name}_")}
                assert own <= set(known)
