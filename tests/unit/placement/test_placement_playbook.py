"""`playbooks/plan.yml`, with and without hosts, and the role's documentation."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from placement_cases import LAB

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "placement"
TOPO = """\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\tNUMA Affinity
GPU0\t X \tPHB\tPHB\tNV4\t0-31\t0
GPU1\tPHB\t X \tNV4\tPHB\t0-31\t0
GPU2\tPHB\tNV4\t X \tPHB\t0-31\t0
GPU3\tNV4\tPHB\tPHB\t X \t0-31\t0
"""


def play(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of plan.yml; reports go to `folder`."""
    playbook = str(ROOT / "playbooks" / "plan.yml")
    return run(folder, playbook, "-e", f"reports_dir={folder}/reports", *arguments)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a playbook that is run in `folder`."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", *arguments),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
        ],
        cwd=folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PWD": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_without_any_host(tmp_path: Path) -> None:
    (tmp_path / "rack7.txt").write_text(TOPO)
    status, output = play(tmp_path, "-e", "topology_file=rack7.txt")
    assert status == 0, output
    assert "0       0+3   NV4" in output
    assert "weakest link PHB instead of NV4" in " ".join(output.split())
    plan: dict[str, Any] = json.loads((tmp_path / "reports" / "rack7.json").read_text())
    assert plan["index_order"]["groups"] == [[0, 1], [2, 3]]
    assert plan["source"] == f"recorded:{tmp_path}/rack7.txt"
    ElementTree.fromstring((tmp_path / "reports" / "rack7.svg").read_text())  # noqa: S314


def test_hosts_one_of_which_is_refused(tmp_path: Path) -> None:
    inventory = {
        "workers": {
            "vars": {
                "ansible_connection": "local",
                "placement_min_link": "NV18",
                "placement_exclude": [7],
                "placement_cpu_cache_gib": 0,
                "placement_ssd_cache_gib": 0,
                "placement_ports": {"worker_system": 9100},
                "placement_group_size": 2,
            },
            "hosts": {
                "mesh": {"placement_topology_recorded": str(LAB / "hgx-h200-8.json")},
                "bridges": {"placement_topology_recorded": str(LAB / "h100-pcie-8-bridged.json")},
            },
        }
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    status, output = play(tmp_path, "-i", str(tmp_path / "hosts.yml"))
    assert status == 2
    assert "bridges: no plan. GPUs 0+2: weakest link NV12, placement_min_link is NV18;" in " ".join(
        output.split()
    )
    plan = json.loads((tmp_path / "reports" / "mesh.json").read_text())
    assert [worker["ports"] for worker in plan["workers"]] == [
        {"system": 9100 + index} for index in range(3)
    ]
    assert not (tmp_path / "reports" / "bridges.json").exists()


def test_the_modules_examples_run(tmp_path: Path) -> None:
    """As documented; only the first look at the hardware is at a recorded host."""
    plays = []
    for module in ("gpu_topology", "worker_layout"):
        text = importlib.import_module(module).EXAMPLES.replace("/tmp/", f"{tmp_path}/")  # noqa: S108
        tasks = yaml.safe_load(text)
        first = tasks[0]["gpu_topology"] or {}
        tasks[0]["gpu_topology"] = {**first, "recorded": str(LAB / "h100-pcie-8-bridged.json")}
        plays.append({"hosts": "localhost", "gather_facts": False, "tasks": tasks})
    (tmp_path / "examples.yml").write_text(yaml.safe_dump(plays))
    status, output = run(tmp_path, str(tmp_path / "examples.yml"))
    assert status == 0, output
    assert "failed=0" in output and "0+2" in output
    kept = json.loads((tmp_path / "localhost.json").read_text())
    assert kept["host"] == "h100-pcie-8-bridged"


@pytest.mark.parametrize("entry", ["main", "plan"])
def test_the_roles_variables_are_documented_with_their_defaults(entry: str) -> None:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"][entry]["options"]
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    assert set(options) == set(defaults)
    computed = {"placement_ports", "placement_name"}
    for name in set(options) - computed:
        assert options[name]["default"] == defaults[name], name
