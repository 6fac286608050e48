"""Links that nothing tells: no plan by guesses, and the driver's words in every answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.dynfleet.placement.plan import Refusal, make_plan
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from test_placement_playbook import ROOT, play, run

SAID = "nvidia-smi topo -m said 'Failed to run topology matrix' (exit 255): no matrix"


def unknown() -> dict[str, Any]:
    return {
        "gpus": [{"index": index, "uuid": f"GPU-{index}", "numa_node": 0} for index in range(4)],
        "links": [["X" if a == b else "NONE" for b in range(4)] for a in range(4)],
        "source": "live",
        "problems": [{"code": "no_links", "message": SAID}],
    }


@pytest.mark.parametrize(("size", "named"), [(2, "0+1, 2+3"), (4, "0+1+2+3")])
def test_groups_on_unknown_links_are_refused(size: int, named: str) -> None:
    with pytest.raises(Refusal) as caught:
        make_plan(unknown(), Wishes(group_size=size), "gpu1")
    assert caught.value.violations == [
        f"GPUs {named}: how they are linked is not known; {SAID}. Fix what is said there; or name"
        " the groups in placement_layout; or set placement_group_size to 1"
    ]


def test_a_group_that_avoids_the_unknown_links_is_no_guess() -> None:
    topology = unknown()
    topology["links"][1][3] = topology["links"][3][1] = "PHB"
    topology["gpus"][0]["lost"] = topology["gpus"][2]["lost"] = True
    (worker,) = make_plan(topology, Wishes(), "gpu1")["workers"]
    assert worker["link"] == "PHB"


def test_single_gpus_and_groups_by_hand_are_planned_with_the_warning() -> None:
    for wishes in (Wishes(group_size=1), Wishes(layout=(("0", "2"), ("1", "3")))):
        plan = make_plan(unknown(), wishes, "gpu1")
        assert SAID in plan["warnings"]
        assert len(plan["workers"]) in (2, 4)


def host_without_a_matrix(folder: Path, group_size: int) -> Path:
    """An inventory of this machine, whose nvidia-smi is a fake: no GPU is at hand."""
    gpus = "".join(
        f'<gpu id="00000000:{bus}:00.0"><product_name>NVIDIA H100</product_name>'
        f"<uuid>GPU-{bus}</uuid></gpu>"
        for bus in ("F1", "F2")
    )
    (folder / "query.xml").write_text(
        f"<?xml version='1.0'?><nvidia_smi_log>{gpus}</nvidia_smi_log>"
    )
    smi = folder / "nvidia-smi"
    smi.write_text(
        f'#!/bin/sh\n[ "$1" != topo ] && exec cat {folder}/query.xml\n'
        "echo Failed to run topology matrix\nexit 255\n"
    )
    smi.chmod(0o755)
    host = {
        "ansible_connection": "local",
        "dynamo_group_size": group_size,
        "dynamo_engine": "mocker",
    }
    wishes = {
        "model_source": "http://10.0.0.1/m",
        "worker_cpu_cache_gib": 0,
        "host_address": "10.0.0.1",
    }
    ours = {"placement_ssd_roots": [], "worker_ssd_cache_gib": 0, "ansible_become": False}
    hosts = {"workers": {"hosts": {"gpu01": {**host, **wishes, **ours}}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (folder / "group_vars").symlink_to(ROOT / "group_vars")
    return folder / "hosts.yml"


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver that answers before the fake")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_the_playbook_refuses_with_nvidia_smis_words(on_path: Path) -> None:
    status, output = play(on_path, "-i", str(host_without_a_matrix(on_path, 2)))
    told = " ".join(output.split())
    assert status == 2, output
    assert "gpu01: no plan. GPUs 0+1: how they are linked is not known" in told
    assert "said 'Failed to run topology matrix' (exit 255)" in told


def test_site_shows_what_the_plan_warns_of(on_path: Path) -> None:
    """The plan's tasks of the deploy's first play, which changes nothing."""
    first = yaml.safe_load((ROOT / "playbooks" / "deploy.yml").read_text())[0]
    names = [task["name"] for task in first["tasks"]]
    begin = names.index("Plan the workers")
    first["tasks"] = first["tasks"][begin : begin + 2]
    (on_path / "first.yml").write_text(yaml.safe_dump([{**first, "gather_facts": False}]))
    inventory = host_without_a_matrix(on_path, 1)
    status, output = run(on_path, str(on_path / "first.yml"), "-i", str(inventory))
    told = " ".join(output.replace("''", "'").split())
    assert status == 0, output
    assert "Warning: nvidia-smi topo -m said 'Failed to run topology matrix' (exit 255)" in told
