"""Fleets for tests: real inventories, read by Ansible's own code, given to the plugin's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

ROOT = Path(__file__).resolve().parents[3]
CASES: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/fixtures/bad_inputs.yml").read_text())
CONTROL = {f"c{n}": {"ansible_host": f"10.0.0.1{n}"} for n in (1, 2, 3)}
GPU = {f"gpu{n}": {"ansible_host": f"10.0.0.2{n}"} for n in (1, 2)}


def load_plugin() -> ModuleType:
    """The action plugin as a module."""
    path = ROOT / "library/action_plugins/inventory_check.py"
    spec = importlib.util.spec_from_file_location("inventory_check_action", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLUGIN = load_plugin()


class Action(PLUGIN.ActionModule):  # type: ignore[misc,name-defined]
    """The plugin without a task around it."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader


def inventory(case: dict[str, Any]) -> dict[str, Any]:
    """The good fleet with a case on top, as an inventory file has it."""
    ports = yaml.safe_load((ROOT / "group_vars/all/ports.yml").read_text())["dynamo_ports"]
    variables: dict[str, Any] = {"dynamo_model_path": "/srv/models/m", **case.get("vars", {})}
    variables.setdefault("dynamo_commit", "0123456789" * 4)
    if "ports" in case:
        variables["dynamo_ports"] = {**ports, **case["ports"]}
    hosts = {name: {**item} for name, item in {**CONTROL, **GPU}.items()}
    for name, item in case.get("hosts", {}).items():
        hosts[name].update(item)
    groups: dict[str, Any] = {
        "etcd": list(CONTROL),
        "nats": list(CONTROL),
        "builder": ["c1"],
        "frontends": ["c1", "c2"],
        "workers": list(GPU),
        **case.get("groups", {}),
    }
    children = {
        name: {"hosts": dict.fromkeys(members)}
        for name, members in groups.items()
        if members is not None
    }
    return {"all": {"vars": variables, "hosts": hosts, "children": children}}


class Site:
    """A directory of inventories that share group_vars, which is read once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.loader = DataLoader()
        (directory / "group_vars").symlink_to(ROOT / "group_vars")

    def write(self, name: str, case: dict[str, Any]) -> Path:
        """A case as an inventory file."""
        path = self.directory / f"{name}.yml"
        path.write_text(yaml.safe_dump(inventory(case), sort_keys=False))
        return path

    def look_at(self, path: Path, scope: str = "all") -> dict[str, Any]:
        """What the plugin returns for an inventory."""
        manager = InventoryManager(self.loader, [str(path)])
        hostvars = HostVars(manager, VariableManager(self.loader, manager), self.loader)
        result: dict[str, Any] = Action(self.loader).look(
            {"groups": manager.get_groups_dict(), "hostvars": hostvars}, scope
        )
        return result

    def judge(self, name: str, case: dict[str, Any]) -> dict[str, Any]:
        """What the plugin returns for a case."""
        return self.look_at(self.write(name, case))


def report(result: dict[str, Any]) -> list[str]:
    """The lines of the report."""
    return str(result["msg"]).splitlines()[1:] if result.get("failed") else []
