"""Paths that a message or a page tells an operator to use: each is used as told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).parent))
import fleet

ROOT = fleet.ROOT
# Everything that an operator reads, and the comments that he finds beside a variable.
READ = [
    path
    for pattern in (
        "README.md",
        "docs/*.md",
        "group_vars/all/*.yml",
        "inventory/example/*.yml",
        "library/*.py",
        "library/module_utils/dynfleet/**/*.py",
        "roles/*/defaults/main.yml",
        "roles/*/meta/*.yml",
        "roles/*/tasks/*.yml",
    )
    for path in sorted(ROOT.glob(pattern))
    if path.name != "bad-inputs.md"  # generated: paths of bad inputs
]
BESIDE = re.compile(r"(?:\{\{ inventory_dir \}\}|inventory/mysite)/([\w.-]+(?:/[\w.-]+)*)")
OURS = re.compile(
    r"(?<![\w/.-])((?:group_vars|docs|playbooks|tools|roles)/[\w/-]+(?:\.(?:yml|md|py|txt|j2))?)(?![\w{*])"
)
# What an inventory itself consists of.
INVENTORY = ("hosts.yml", "host_vars", "group_vars")


def advised(pattern: re.Pattern[str]) -> dict[str, str]:
    """Each path that is told, with the file that tells it."""
    return {
        match.group(1): str(path.relative_to(ROOT))
        for path in READ
        for match in pattern.finditer(path.read_text())
    }


BESIDE_INVENTORY = {path for path in advised(BESIDE) if path.split("/")[0] not in INVENTORY}


def site(directory: Path) -> Path:
    """A good inventory in a directory of its own."""
    directory.mkdir()
    return fleet.Site(directory).write("hosts", {})


def ansible(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible's by the project's configuration."""
    environment = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def hosts_of(inventory: Path) -> set[str]:
    """The hosts that Ansible finds."""
    done = ansible("ansible-inventory", "-i", str(inventory), "--list")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout)["_meta"]["hostvars"])


def preflight(inventory: Path) -> subprocess.CompletedProcess[str]:
    """The check of an inventory, as an operator runs it."""
    return ansible("ansible-playbook", "-i", str(inventory), "playbooks/preflight.yml")


def test_the_advice_is_found() -> None:
    assert {"patches/1.patch", "models/llama.json"} <= BESIDE_INVENTORY
    assert len(advised(OURS)) > 30


@pytest.mark.parametrize(
    "path",
    sorted(
        BESIDE_INVENTORY | {"topologies/gpu1.txt", "1.patch", "dynamo.tar", "dynamo.tar.sha256"}
    ),
)
def test_a_file_beside_the_inventory(tmp_path: Path, path: str) -> None:
    """The inventory is given as a directory, as on all pages: no file in it is taken for hosts."""
    inventory = site(tmp_path / "mysite")
    file = inventory.parent / path
    if not file.suffix:
        file = file / "some.file"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("From 0123\n--- a/x\n+++ b/x\n")
    assert hosts_of(inventory.parent) == {*fleet.CONTROL, *fleet.GPU}


def test_patches_as_the_message_advises(tmp_path: Path) -> None:
    """What the report says about a wrong path is done, literally, and the report has gone."""
    directory = tmp_path / "mysite"
    directory.mkdir()
    project = fleet.Site(directory)
    case = {"vars": {"flexkv_patches": ["fix.patch"]}}
    (line,) = fleet.report(project.judge("hosts", case))
    (told,) = re.findall(r"such as (\{\{ inventory_dir \}\}/\S+)", line)
    file = directory / told.removeprefix("{{ inventory_dir }}/")
    file.parent.mkdir()
    file.write_text("From 0123\n--- a/x\n+++ b/x\n")
    assert hosts_of(directory) == {*fleet.CONTROL, *fleet.GPU}
    good = {"vars": {"flexkv_patches": [told]}}
    for inventory in (project.write("hosts", good), directory):
        result = project.look_at(inventory)
        assert not result.get("failed"), result["msg"]


def test_defaults_as_the_message_advises(tmp_path: Path) -> None:
    inventory = site(tmp_path / "mysite")
    link = inventory.parent / "group_vars"
    link.unlink()
    (told,) = set(re.findall(r"ln -s (\S+) beside", preflight(inventory.parent).stdout))
    link.symlink_to(told)
    again = preflight(inventory.parent)
    assert again.returncode == 0, again.stdout


@pytest.mark.parametrize("path", sorted(advised(OURS)))
def test_a_file_of_the_project(path: str) -> None:
    assert (ROOT / path).exists(), f"{advised(OURS)[path]} names {path}"


def test_the_locks_as_the_message_advises() -> None:
    """`make locks`, which a missing lock file's line names, is a target that is there."""
    done = subprocess.run(
        ["make", "-n", "locks"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_manifest_as_the_page_advises(tmp_path: Path) -> None:
    """docs/models.md: make it into models/ beside the inventory, name it from there."""
    inventory = site(tmp_path / "mysite")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    manifest = inventory.parent / "models/llama.json"
    manifest.parent.mkdir()
    made = subprocess.run(
        [sys.executable, str(ROOT / "tools/model-manifest"), str(model)],
        capture_output=True,
        text=True,
        check=True,
    )
    manifest.write_text(made.stdout)
    assert hosts_of(inventory.parent) == {*fleet.CONTROL, *fleet.GPU}
    content = yaml.safe_load(inventory.read_text())
    content["all"]["vars"] |= {
        "model_source": "https://store.example.org/m",
        "model_manifest": "{{ inventory_dir }}/models/llama.json",
    }
    inventory.write_text(yaml.safe_dump(content))
    done = preflight(inventory.parent)
    assert done.returncode == 0, done.stdout
