"""The guard as hosts get it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "placement"


@pytest.fixture(scope="session")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guard as the role's template writes it."""
    path = tmp_path_factory.mktemp("guard") / "topology-guard"
    template = ROLE / "templates" / "topology-guard.j2"
    subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "adhoc", "localhost", "-c", "local"),
            *("-m", "ansible.builtin.template", "-a", f"src={template} dest={path} mode=0755"),
            *("-e", f"@{ROLE / 'vars' / 'main.yml'}", "-e", f"role_path={ROLE}"),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return path
