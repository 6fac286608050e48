"""What a gate says when a worker does not pass it: asked, seen, what to do. All are stand-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import unit_log
from ansible.module_utils.dynfleet import systemd
from ansible.module_utils.dynfleet.day2 import cards, gate, routing
from ansible.module_utils.dynfleet.day2.gate import Gate
from ansible.module_utils.dynfleet.day2.report import Failed, Report
from ansible.module_utils.dynfleet.day2.workers import Worker
from ansible.module_utils.dynfleet.etcd import Etcd
from etcd_stand_in import EtcdStandIn

MINE, OTHER = 0xA1, 0xB2
PLANNED = {"index": 0, "ports": {"system": 1, "request": 9200}, "gpus": []}


def registered(*instances: int) -> str:
    name = "dynamo_component_router_worker_registered"
    return "".join(f'{name}{{router_worker_id="{instance}"}} 1\n' for instance in instances)


def card(**fields: Any) -> str:
    runtime = {"runtime_config": {"total_kv_blocks": fields.pop("blocks", 1)}}
    info = {"model_info": {"path": fields.pop("path", "http://a"), "checksum": "c"}}
    return json.dumps({"card_json": {"kv_cache_block_size": 16, **info, **runtime, **fields}})


@pytest.fixture
def etcd(monkeypatch: pytest.MonkeyPatch) -> Iterator[EtcdStandIn]:
    """A frontend's metrics, and etcd with the cards of two workers."""
    monkeypatch.setattr(gate, "CONFIRM_SECONDS", 0.3)
    monkeypatch.setattr(systemd, "log_lines", lambda *_: ["loading", "ERROR no such tokenizer"])
    server = EtcdStandIn()
    server.put(f"v1/mdc/dynamo/backend/generate/{MINE:x}", card(path="http://b", blocks=2), MINE)
    server.put(f"v1/mdc/dynamo/backend/generate/{OTHER:x}", card(), OTHER)
    server.pages["/metrics"] = [registered(OTHER)]
    yield server
    server.close()


def passage(etcd: EtcdStandIn) -> Gate:
    params = {
        "etcd": [etcd.url],
        "frontends": [etcd.url],
        "namespace": "dynamo",
        "model": "lab",
        "gate_seconds": 0.3,
        "start_seconds": 0,
    }
    report = Report("dynamo-worker@0.service", instance=MINE)
    return Gate(params, Worker(PLANNED, "127.0.0.1"), report)


def parts(error: Failed) -> dict[str, str]:
    """The message by its parts; the first line is `what`."""
    what, *lines = str(error).splitlines()
    found = {"what": what}
    for line in lines:
        name, _, rest = line.strip().partition(": ")
        if line.startswith("  ") and not line.startswith("    "):
            found[name] = rest
        else:
            found["more"] = found.get("more", "") + line
    return found


def test_a_worker_that_no_frontend_takes_is_told_with_what_they_have(etcd: EtcdStandIn) -> None:
    with pytest.raises(Failed) as caught:
        passage(etcd).routed(routing.Routed(have=frozenset({MINE})))
    said = parts(caught.value)
    assert said["what"].startswith("dynamo-worker@0.service serves, but is not routed to: after")
    assert f"{etcd.url} does not route to {MINE}" in said["what"]
    assert said["asked"] == f"every frontend routes to {MINE} (127.0.0.1:9200; in etcd {MINE:x})"
    assert f"it routes to {OTHER}" in said["seen"]
    assert "journalctl -u dynamo-frontend" in said["do"]
    assert "ERROR no such tokenizer" in said["more"]
    assert caught.value.mention == ["127.0.0.1:9200", str(MINE), f"{MINE:x}"]


def test_a_model_card_of_its_own_is_told_with_the_setting(etcd: EtcdStandIn) -> None:
    etcd.put(f"v1/mdc/dynamo/backend/generate/{MINE:x}", card(kv_cache_block_size=32), MINE)
    with pytest.raises(Failed) as caught:
        passage(etcd).routed(routing.Routed(have=frozenset({MINE})))
    said = parts(caught.value)
    assert "kv_cache_block_size is 32, theirs 16 (worker_block_size)" in said["what"]
    assert "Set it back" in said["do"]
    assert "systemctl stop 'dynamo-worker@*'" in said["do"]


def test_a_worker_that_stays_routed_is_told(etcd: EtcdStandIn) -> None:
    with pytest.raises(Failed) as caught:
        passage(etcd).routed(routing.Routed(lack=frozenset({OTHER})))
    said = parts(caught.value)
    assert "is not taken out of routing" in said["what"]
    assert f"still routes to {OTHER}" in said["what"]
    assert "key was removed from etcd" in said["asked"]


def test_every_frontend_is_named_with_its_own_view(etcd: EtcdStandIn) -> None:
    other, silent = EtcdStandIn(), "http://127.0.0.1:1"
    other.pages["/metrics"] = [registered(*range(1, 21))]
    try:
        with pytest.raises(routing.Unconfirmed) as caught:
            routing.settle(
                [etcd.url, other.url, silent], routing.Routed(have=frozenset({MINE})), 0.2
            )
    finally:
        other.close()
    one, two, three = str(caught.value).splitlines()
    assert f"{etcd.url} does not route to {MINE}; it routes to {OTHER}" in one
    assert f"{other.url} does not route to {MINE}; it routes to 1, 2, 3" in two
    assert "12 more" in two
    assert f"{silent} does not answer: " in three


def test_frontends_that_agree_pass_and_a_silent_one_is_noted(etcd: EtcdStandIn) -> None:
    silent = "http://127.0.0.1:1"
    wanted = routing.Routed(have=frozenset({OTHER}), lack=frozenset({MINE}))
    (note,) = routing.settle([etcd.url, silent], wanted, 5)
    assert note.startswith(f"{silent} does not answer")
    with pytest.raises(routing.Unconfirmed, match="does not answer"):
        routing.settle([silent], wanted, 0.1)


def test_a_worker_that_is_not_in_service_is_told_with_all_that_was_seen(
    etcd: EtcdStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"ActiveState": "active", "SubState": "running", "NRestarts": "0"}
    monkeypatch.setattr(systemd, "show", lambda names: dict.fromkeys(names, state))
    with pytest.raises(Failed) as caught:
        passage(etcd).registered()
    said = parts(caught.value)
    assert said["what"] == "dynamo-worker@0.service is not in service after 0.3 s"
    assert "/health answers 200" in said["asked"]
    for seen in ("active (running)", "restarted 0 times", "health says ConnectionRefused"):
        assert seen in said["seen"]
    assert "its own instance is none, etcd has there none" in said["seen"]


def test_a_completion_that_fails_is_told(etcd: EtcdStandIn) -> None:
    with pytest.raises(Failed) as caught:
        passage(etcd).complete()
    said = parts(caught.value)
    assert f"does not complete a request through {etcd.url}" in said["what"]
    assert "content is '', not some text" in said["seen"]
    assert f"pinned to {MINE}" in said["asked"]
    assert "out of routing until" in said["do"]


def test_what_each_worker_has_of_its_own_is_no_difference(etcd: EtcdStandIn) -> None:
    found = cards.read(Etcd([etcd.url]), "dynamo")
    assert set(found) == {MINE, OTHER}
    assert cards.differences(found, MINE) == []
    assert cards.differences(found, 0xC3) == []
    assert cards.differences({MINE: found[MINE]}, MINE) == []


def test_a_difference_is_one_from_every_other_card() -> None:
    # During a change of the card that was begun, some have the new one.
    found = {1: {"a": 1, "b": 1}, 2: {"a": 2, "b": 1}, 3: {"a": 3, "b": 1}}
    assert cards.differences(found, 1) == ["a is 1, theirs 2"]
    assert cards.differences({**found, 4: {"a": 1, "b": 1}}, 1) == []


LOG = [
    "INFO ready",
    "ERROR disk of 10.0.0.9 is slow",
    "WARN worker 161 refused: block size differs",
    "INFO worker 161 gone",
]


@pytest.mark.parametrize(
    ("mention", "lines"),
    [
        (["161"], ["WARN worker 161 refused: block size differs"]),
        (
            ["162"],
            ["ERROR disk of 10.0.0.9 is slow", "WARN worker 161 refused: block size differs"],
        ),
    ],
)
def test_the_log_lines_that_explain(mention: list[str], lines: list[str]) -> None:
    assert unit_log.explaining(LOG, mention) == lines
    assert unit_log.explaining(LOG[:1], mention) == []
