"""What a bundle is made of and what a deploy from one does follow from the project's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_every_role_that_installs_packages_on_a_host_is_in_the_bundle() -> None:
    listed = read("group_vars/all/bundle.yml")["dynamo_bundle_roles"]
    # Roles of machines that have a network: the builder's where it builds, the lab.
    elsewhere = {"source_build", "lab", "bundle"}
    for path in sorted((ROOT / "roles").glob("*/defaults/main.yml")):
        role = path.parents[1].name
        if yaml.safe_load(path.read_text()).get(f"{role}_packages") and role not in elsewhere:
            assert role in listed, f"{role}_packages of {path}"


def test_every_play_that_changes_hosts_runs_with_the_environment_of_the_bundle() -> None:
    for play in read("playbooks/deploy.yml"):
        roles = play.get("roles") or [
            task for task in play.get("tasks", []) if "ansible.builtin.import_role" in task
        ]
        looks_or_is_the_bundle = "bundle" in play["name"] or "before any is changed" in play["name"]
        if roles and not looks_or_is_the_bundle:
            assert play.get("environment") == "{{ dynamo_environment }}", play["name"]
