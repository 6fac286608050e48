"""The checks of a frontend, against a stand-in (a fake: see stand_in.py)."""

from __future__ import annotations

import time

import pytest
from ansible.module_utils.dynfleet.verify import frontend
from ansible.module_utils.dynfleet.verify.frontend import Frontend, Worker
from stand_in import StandIn

OWN = ("control", "dynamo-frontend.service")
LAST = ("gpu1", "dynamo-worker@2.service")


def check(server: StandIn, model: str = "lab", timeout: float = 20) -> Frontend:
    workers = [
        Worker("gpu1", f"dynamo-worker@{i}.service", f"{server.url}/worker/{i}")
        for i in range(server.workers)
    ]
    checked = Frontend("control", server.url, model, workers, timeout)
    checked.check()
    return checked


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "SETTLE_SECONDS", 0.3)


def test_whole_service() -> None:
    checked = check(StandIn(3))
    assert checked.findings == []
    assert checked.seen["models"] == ["lab"]
    assert checked.seen["registered"] == {"expected": 3, "strangers": 0}
    assert checked.seen["stream_events"] == frontend.SHORT_TOKENS
    assert checked.seen["cached"] == {
        "tokens": 990,
        "of": 1100,
        "source": "nvext.timing.kv_hit_rate",
        "repeats": 1,
    }
    assert set(checked.seen["served"]["workers"].values()) == {"worker id"}
    assert set(checked.figures) == {
        "answer_ms",
        "ttft_ms",
        "long_first_ms",
        "long_again_ms",
        "cached_tokens",
        "prompt_tokens",
    }


def test_without_ids_in_the_answers_the_counters_tell_who_served() -> None:
    checked = check(StandIn(3, "no worker id"))
    assert checked.findings == []
    assert set(checked.seen["served"]["workers"].values()) == {"request counter"}


@pytest.mark.parametrize(
    ("fault", "place", "what", "seen"),
    [
        ("no model", OWN, "models", "served: none"),
        ("unready", OWN, "model_ready", "0"),
        ("refuses", OWN, "completion: answer", "HTTP 503: Service temporarily unavailable"),
        (
            "error in stream",
            OWN,
            "streamed completion: answer",
            "HTTP 200: Internal server error, after 2 events with text",
        ),
        ("cut stream", OWN, "streamed completion: finish_reason", "none"),
        ("no cache", OWN, "cached tokens", "0 (nvext.timing.kv_hit_rate)"),
        ("unregistered worker", LAST, "registered", "2 others there"),
        ("idle worker", LAST, "served", "none"),
    ],
)
def test_fault(fault: str, place: tuple[str, str], what: str, seen: str) -> None:
    found = check(StandIn(3, fault)).findings[0]
    assert (found["host"], found["unit"]) == place
    assert (found["check"], found["seen"]) == (what, seen)


def test_requests_that_hang_end_in_time() -> None:
    started = time.monotonic()
    checked = check(StandIn(1, "hangs"), timeout=1)
    assert time.monotonic() - started < 2.5
    assert [finding["check"] for finding in checked.findings] == ["completion: answer"]
    assert checked.findings[0]["seen"] == "no whole answer in time"


def test_frontend_that_is_not_there() -> None:
    server = StandIn(1)
    server.shutdown()
    server.server_close()
    (finding,) = check(server).findings
    assert finding["check"] == "models"
    assert "refused" in finding["seen"]


def test_worker_out_of_this_frontends_reach() -> None:
    server = StandIn(1)
    checked = Frontend("control", server.url, "lab", [Worker("gpu1", "w", "http://127.0.0.1:1")], 9)
    checked.check()
    (finding,) = checked.findings
    assert (finding["host"], finding["unit"], finding["check"]) == ("gpu1", "w", "worker metrics")
    assert "refused" in finding["seen"]
