"""The modules as Ansible runs them: arguments in, JSON out."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from placement_cases import LAB

BRIDGED = LAB / "h100-pcie-8-bridged.json"


def run(name: str, capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    """What a module answers."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        importlib.import_module(name).main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_recorded_facts_to_plan_and_picture(capsys: pytest.CaptureFixture[str]) -> None:
    facts = run("gpu_topology", capsys, recorded=str(BRIDGED))
    assert not facts["changed"]
    answer = run(
        "worker_layout",
        capsys,
        topology=facts["topology"],
        host="gpu1",
        layout=[[0, 2], [3, 5]],
        exclude=[7],
        picture=True,
        ports={"worker_system": 9100},
    )
    assert [worker["ports"] for worker in answer["plan"]["workers"]] == [
        {"system": 9100},
        {"system": 9101},
    ]
    assert answer["table"][0].startswith("gpu1  (recorded:")
    assert answer["picture"].startswith("<svg")


def test_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    topology = json.loads(BRIDGED.read_text())
    answer = run("worker_layout", capsys, topology=topology, host="gpu1", group_size=9)
    assert answer["failed"]
    assert answer["msg"] == "gpu1: no plan. 8 usable GPUs, placement_group_size is 9"
    assert answer["violations"] == ["8 usable GPUs, placement_group_size is 9"]


def test_a_refusal_tells_what_should_be_known_besides(capsys: pytest.CaptureFixture[str]) -> None:
    topology = json.loads(BRIDGED.read_text())
    topology["problems"] = [{"code": "lost", "message": "GPU 8 has fallen off the bus."}]
    answer = run("worker_layout", capsys, topology=topology, host="gpu1", group_size=9)
    assert answer["violations"] == ["8 usable GPUs, placement_group_size is 9"]
    assert "Warning: GPU 8 has fallen off the bus." in answer["notes"]


def test_wrong_facts_and_wrong_size(capsys: pytest.CaptureFixture[str]) -> None:
    topology = json.loads(BRIDGED.read_text())
    answer = run("worker_layout", capsys, topology=topology, host="gpu1", group_size=0)
    assert answer["msg"] == "gpu1: no plan. a group needs at least 1 GPU, not 0"
    answer = run("worker_layout", capsys, topology={"gpus": []}, host="gpu1")
    assert answer["msg"] == "gpu1: no plan. gpu1: topology: needs the lists gpus and links"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nvme": None}, "nvme is no list of objects"),
        ({"problems": ["hot"]}, "problems is no list of objects"),
        ({"nvme": [{"name": "a", "distance": ["PIX"]}]}, "a: distance to 1 GPUs, there are 8"),
        ({"network": [{"name": "b", "distance": ["X"] * 8}]}, "b: distance 'X' is no link class"),
        ({"numa_nodes": [{"node": 0, "cpus": "all"}]}, "NUMA node 0: 'all' is not a CPU list"),
    ],
)
def test_facts_that_someone_edited(
    capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    topology = {**json.loads(BRIDGED.read_text()), **change}
    answer = run("worker_layout", capsys, topology=topology, host="gpu1")
    assert answer["failed"]
    assert answer["msg"].startswith(f"gpu1: no plan. gpu1: topology: {said}")


def test_facts_cut_down_to_what_decides(capsys: pytest.CaptureFixture[str]) -> None:
    """GPUs and links are enough; nothing else is known then."""
    topology = json.loads(BRIDGED.read_text())
    few = {
        "gpus": [{"index": gpu["index"]} for gpu in topology["gpus"]],
        "links": topology["links"],
    }
    plan = run("worker_layout", capsys, topology=few, host="gpu1", picture=True)["plan"]
    assert plan["optimum"]["links"] == ["NV12"] * 4
    assert plan["workers"][0]["cpus"] is None


def test_an_unreadable_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run("gpu_topology", capsys, recorded=str(tmp_path / "none"))
    assert answer["msg"] == f"recorded topology {tmp_path}/none: No such file or directory"


def test_a_host_without_gpus_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever host runs this test: an answer with a status, not a failure."""
    topology = run("gpu_topology", capsys, paths=["/"], timeout=5)["topology"]
    assert topology["source"] == "live"
    assert (topology["status"] == "ok") == (topology["problems"] == [])
    assert topology["paths"][0]["mount"] == "/"


@pytest.mark.parametrize("name", ["gpu_topology", "worker_layout"])
def test_documentation_is_the_argument_spec(name: str) -> None:
    module = importlib.import_module(name)
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert set(documented) == set(module.ARGUMENTS)
    for option, spec in module.ARGUMENTS.items():
        for key in ("type", "default", "elements", "required"):
            assert documented[option].get(key) == spec.get(key), (option, key)
        assert documented[option]["description"]


@pytest.mark.parametrize("name", ["gpu_topology", "worker_layout"])
def test_every_returned_value_is_documented(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    facts = run("gpu_topology", capsys, recorded=str(BRIDGED))
    if name == "worker_layout":
        facts = run("worker_layout", capsys, topology=facts["topology"], host="a", picture=True)
    documented = yaml.safe_load(importlib.import_module(name).RETURN)

    def compare(value: Any, told: dict[str, Any], path: str) -> None:
        assert told["description"], path
        if "contains" in told:
            for one in value if isinstance(value, list) else [value]:
                for key, more in one.items():
                    assert key in told["contains"], f"{path}.{key}"
                    compare(more, told["contains"][key], f"{path}.{key}")

    for key, value in facts.items():
        if key not in ("changed", "invocation"):
            compare(value, documented[key], key)


@pytest.mark.parametrize("name", ["gpu_topology", "worker_layout"])
def test_examples_use_options_that_exist(name: str) -> None:
    module = importlib.import_module(name)
    tasks = [task for task in yaml.safe_load(module.EXAMPLES) if name in task]
    assert tasks
    for task in tasks:
        assert set(task[name] or {}) <= set(module.ARGUMENTS)
