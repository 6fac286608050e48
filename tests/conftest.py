"""Modules and their helpers are importable as Ansible itself imports them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ansible.module_utils
import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "library"
ansible.module_utils.__path__.append(str(LIBRARY / "module_utils"))
sys.path.append(str(LIBRARY))


@pytest.fixture(scope="session")
def render_helper(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """A helper of the hosts as a role writes it: by role and the role's variable."""

    def render(role: str, variable: str) -> Path:
        path = tmp_path_factory.mktemp("helper") / role
        template = ROOT / "roles/host/templates/helper.j2"
        subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "adhoc", "localhost", "-c", "local"),
                *("-m", "ansible.builtin.template", "-a", f"src={template} dest={path} mode=0755"),
                *("-e", f"@{ROOT / 'roles' / role / 'vars' / 'main.yml'}"),
                *("-e", f"helper_code={LIBRARY / 'module_utils/dynfleet'}"),
                *("-e", f'{{"helper": "{{{{ {variable} }}}}"}}'),
                *("-e", f"ansible_python_interpreter={sys.executable}"),
            ],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=60,
        )
        return path

    return render
