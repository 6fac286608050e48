"""Reading metrics pages; the lines are from a worker and a frontend of Dynamo 1.4.2."""

from __future__ import annotations

import pytest
from ansible.module_utils.dynfleet.verify import metrics

WORKER = """\
# HELP dynamo_component_requests_total Total number of requests processed
# TYPE dynamo_component_requests_total counter
dynamo_component_requests_total{dynamo_component="backend",dynamo_endpoint="generate",dynamo_namespace="dynamo",worker_id="755a20a763181e7"} 3
dynamo_component_requests_total{dynamo_component="backend",dynamo_endpoint="worker_kv_query_source_1642df302abd1e",dynamo_namespace="dynamo",worker_id="755a20a763181e7"} 1
dynamo_component_requests_total_more{dynamo_endpoint="generate"} 9
"""  # noqa: E501
FRONTEND = """\
dynamo_component_router_worker_registered{dp_rank="0",router_worker_id="528506697102229991",worker_id="755a20a763181e3",worker_type="decode"} 1
dynamo_component_router_worker_registered{dp_rank="1",router_worker_id="528506697102229991",worker_id="755a20a763181e3",worker_type="decode"} 1
dynamo_component_router_worker_registered{dp_rank="0",router_worker_id="528506697102229993",worker_id="755a20a763181e3",worker_type="decode"} 0
dynamo_frontend_model_ready{model="lab"} 1
dynamo_frontend_model_ready{model="other"} 0
"""  # noqa: E501


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("m 1", {}, 1.0),
        ("m{} 2.5e3", {}, 2500.0),
        ('m{a="b"} 1 1700000000000', {"a": "b"}, 1.0),
        (r'm{a="say \"hi\"",b="x\\y\nz"} 0', {"a": 'say "hi"', "b": "x\\y\nz"}, 0.0),
        ('m{a="with } and , and ="} +Inf', {"a": "with } and , and ="}, float("inf")),
    ],
)
def test_sample(line: str, labels: dict[str, str], value: float) -> None:
    assert metrics.samples(line, "m") == [(labels, value)]


@pytest.mark.parametrize("line", ["", "# TYPE m counter", "mm 1", "m", "m one", "<html>m 1</html>"])
def test_no_sample(line: str) -> None:
    assert metrics.samples(line, "m") == []


def test_worker_is_known_by_its_own_metrics() -> None:
    assert metrics.served(WORKER) == (0x755A20A763181E7, 3)
    assert metrics.served("") == (None, 0)
    assert metrics.served(WORKER.replace("755a20a763181e7", "not hex")) == (None, 3)


def test_registered_workers_of_a_router() -> None:
    assert metrics.registered(FRONTEND) == [528506697102229991]


@pytest.mark.parametrize(("model", "ready"), [("lab", True), ("other", False), ("none", None)])
def test_model_ready(model: str, ready: bool | None) -> None:
    assert metrics.model_ready(FRONTEND, model) is ready
