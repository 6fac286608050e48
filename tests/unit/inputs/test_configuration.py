"""Somebody else's configuration, and copies of the project that Ansible ignores, in words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.inputs import configuration

sys.path.append(str(Path(__file__).parent))
import fleet

sys.path.append(str(fleet.ROOT / "tests/tools"))
import checkout

ORDER = [
    "all_plugins_inventory",
    "all_plugins_play",
    "all_inventory",
    "groups_plugins_inventory",
    "groups_plugins_play",
    "groups_inventory",
]
ANSIBLES = [
    "all_inventory",
    "groups_inventory",
    "all_plugins_inventory",
    "all_plugins_play",
    "groups_plugins_inventory",
    "groups_plugins_play",
]
PATHS = """[defaults]
roles_path = {root}/roles
library = {root}/library
module_utils = {root}/library/module_utils
action_plugins = {root}/library/action_plugins
"""
# Whatever is found out, no host is connected to.
SYNTAX = "--syntax-check"
IGNORED = "and without it finds none of this project's roles and modules"


def flat(text: str) -> str:
    """Text as one line: Ansible wraps what it says."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project."""
    return checkout.copy(tmp_path_factory.mktemp("project") / "fleet")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A good fleet."""
    return fleet.Site(tmp_path).write("hosts", {})


@pytest.mark.parametrize(
    ("order", "good"),
    [
        (ORDER, True),
        (["all_plugins_inventory", "all_inventory", *ORDER[3:]], True),
        (ANSIBLES, False),
        ([*ORDER[2:], *ORDER[:2]], False),
        ([name for name in ORDER if name != "groups_inventory"], False),
        ([], False),
    ],
)
def test_order(order: list[str], good: bool) -> None:
    assert configuration.in_order(order) is good


@pytest.mark.parametrize("playbook", ["playbooks/preflight.yml", "playbooks/status.yml"])
def test_another_order_of_variables_is_said_alone(
    tmp_path: Path, inventory: Path, playbook: str
) -> None:
    """Ansible finds all of the project by another file, which says nothing of the order."""
    other = tmp_path / "other.cfg"
    other.write_text(PATHS.format(root=fleet.ROOT))
    done = checkout.ansible_playbook(
        fleet.ROOT, "-i", str(inventory), playbook, ANSIBLE_CONFIG=str(other)
    )
    assert done.returncode == 2, done.stdout + done.stderr
    said = flat(done.stdout)
    assert "1 problem in the inventory; no host was touched." in said
    assert "Ansible's order of variables (precedence) is not this project's" in said
    assert f"{other} is in force and does not set it" in said
    assert f"export ANSIBLE_CONFIG={fleet.ROOT}/ansible.cfg" in said


def test_an_order_from_the_environment_is_named(inventory: Path) -> None:
    done = checkout.ansible_playbook(
        fleet.ROOT,
        *("-i", str(inventory), "playbooks/preflight.yml"),
        ANSIBLE_PRECEDENCE=",".join(ANSIBLES),
    )
    assert done.returncode == 2
    assert "set by ANSIBLE_PRECEDENCE" in flat(done.stdout)


def test_the_right_order_in_a_file_elsewhere(tmp_path: Path, inventory: Path) -> None:
    """Lock files and reports go by the place of the configuration file."""
    other = tmp_path / "other.cfg"
    other.write_text(f"{PATHS.format(root=fleet.ROOT)}precedence = {', '.join(ORDER)}\n")
    preflight = ("-i", str(inventory), "playbooks/preflight.yml")
    done = checkout.ansible_playbook(fleet.ROOT, *preflight, ANSIBLE_CONFIG=str(other))
    assert done.returncode == 2
    said = f"are looked for beside the configuration file in force, {other}; export ANSIBLE_CONFIG"
    assert said in flat(done.stdout)
    (tmp_path / "link.cfg").symlink_to(fleet.ROOT / "ansible.cfg")
    done = checkout.ansible_playbook(fleet.ROOT, *preflight)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("site.yml",),
        ("playbooks/status.yml",),
        ("-i", "inventory/lab/hosts.yml", "playbooks/upgrade.yml"),
    ],
)
def test_a_world_writable_copy(project: Path, arguments: tuple[str, ...]) -> None:
    project.chmod(0o777)
    try:
        done = checkout.ansible_playbook(project, *arguments, SYNTAX)
    finally:
        project.chmod(0o755)
    assert done.returncode == 1
    said = flat(done.stderr)
    assert f"Ansible ignores {project}/ansible.cfg, {IGNORED}: every user may write in" in said
    assert (
        f"chmod o-w {project}; where the file system has no modes: export ANSIBLE_CONFIG=" in said
    )
    # The fix works.
    good = checkout.ansible_playbook(project, *arguments, SYNTAX)
    assert good.returncode == 0, good.stdout + good.stderr


def test_a_world_writable_copy_with_its_configuration_named(project: Path) -> None:
    """As `make` does: all is found, and preflight warns who may change it."""
    project.chmod(0o777)
    try:
        done = checkout.ansible_playbook(
            project, "playbooks/preflight.yml", ANSIBLE_CONFIG=f"{project}/ansible.cfg"
        )
    finally:
        project.chmod(0o755)
    assert done.returncode == 0, done.stdout + done.stderr
    said = flat(done.stdout + done.stderr)
    assert f"every user of this machine may write in {project}" in said
    assert f"chmod -R o-w {project}" in said


def test_a_run_in_another_directory(project: Path) -> None:
    done = checkout.ansible_playbook(project / "playbooks", "status.yml", SYNTAX)
    assert done.returncode == 1
    said = flat(done.stderr)
    assert f"{IGNORED}: the command was run in {project}/playbooks" in said
    assert f"cd {project}; or export ANSIBLE_CONFIG={project}/ansible.cfg" in said


def test_somebody_elses_file(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text("[defaults]\nforks = 7\n")
    done = checkout.ansible_playbook(project, "site.yml", SYNTAX, ANSIBLE_CONFIG=str(other))
    said = flat(done.stderr)
    assert done.returncode == 1
    assert f"ignores {project}/ansible.cfg (in force is {other}), {IGNORED}" in said
    assert f"ANSIBLE_CONFIG is {other}. Set it: export" in said
    playbook = (f"{project}/site.yml", SYNTAX)
    done = checkout.ansible_playbook(tmp_path, *playbook, ANSIBLE_CONFIG="/nonexistent.cfg")
    assert "/nonexistent.cfg, which is no file that can be read" in flat(done.stderr)


def test_a_variable_that_hides_the_roles(project: Path) -> None:
    done = checkout.ansible_playbook(project, "site.yml", SYNTAX, ANSIBLE_ROLES_PATH="/srv/roles")
    assert done.returncode == 1
    assert f"look into {project}/roles, because of ANSIBLE_ROLES_PATH: unset" in flat(done.stderr)
