"""The port table of a host by its groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.dynfleet.inputs.model import GROUPS
from ansible.module_utils.dynfleet.ports import VLLM_STEP, port_table

ROOT = Path(__file__).resolve().parents[3]
PORTS: dict[str, int] = yaml.safe_load((ROOT / "group_vars/all/ports.yml").read_text())[
    "dynamo_ports"
]


def entries(**options: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for listener in port_table(**{"address": "10.0.0.1", "ports": PORTS, **options}):
        found.setdefault(listener.entry, []).append(listener.port)
    return found


def test_port_table() -> None:
    assert entries(groups=["etcd"]) == {"etcd_client": [2379], "etcd_peer": [2380]}
    assert entries(groups=["nats"]) == {"nats_client": [4222], "nats_monitor": [8222]}
    assert entries(groups=["nats"], nats_servers=3)["nats_cluster"] == [6222]
    assert entries(groups=["builder"]) == {"wheelhouse_http": [8080]}
    assert sorted(entries(groups=["frontends"])) == [
        "frontend_http",
        "frontend_request",
        "frontend_response",
    ]
    mocker = entries(groups=["workers"], workers=2, engine="mocker")
    assert mocker == {"worker_system": [9100, 9101], "worker_request": [9200, 9201]}
    vllm = port_table(["workers"], "10.0.0.1", PORTS, workers=4)
    assert len(vllm) == 4 * (4 + VLLM_STEP)
    assert {item.address for item in vllm if item.entry in mocker} == {"10.0.0.1"}
    addresses = {item.entry: item.address for item in vllm if item.entry not in mocker}
    assert addresses == {
        "worker_flexkv_metrics": "127.0.0.1",
        "worker_flexkv_cpp_metrics": "127.0.0.1",
        "worker_vllm": "::",
    }
    assert max(item.port for item in vllm) == PORTS["worker_vllm"] + 4 * VLLM_STEP - 1
    assert {item.process for item in vllm} == {f"dynamo-worker@{n}" for n in range(4)}
    assert entries(groups=["frontends"], workers=4).keys() == entries(groups=["frontends"]).keys()


def test_every_entry_of_the_port_table_is_somebodys() -> None:
    everything = entries(groups=list(GROUPS), workers=1, nats_servers=3)
    assert everything.keys() == PORTS.keys()
