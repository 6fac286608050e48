"""What frontends count, and when a roll has cost too much."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dynfleet.day2 import figures

PAGE = """
dynamo_frontend_requests_total{endpoint="chat_completions",error_type="",model="lab",status="success"} 90
dynamo_frontend_requests_total{endpoint="chat_completions",error_type="cancelled",model="lab",status="error"} 4
dynamo_frontend_requests_total{endpoint="chat_completions",error_type="not_found",model="x",status="error"} 3
dynamo_frontend_requests_total{endpoint="chat_completions",error_type="internal",model="lab",status="error"} 2
dynamo_frontend_requests_total{endpoint="chat_completions",error_type="overload",model="lab",status="error"} 1
dynamo_frontend_time_to_first_token_seconds_sum{model="lab"} 9
dynamo_frontend_time_to_first_token_seconds_count{model="lab"} 90
dynamo_component_router_kv_hit_rate_sum{router_id="1"} 45
dynamo_component_router_kv_hit_rate_count{router_id="1"} 90
"""  # noqa: E501 - as the frontend prints them
LIMITS = {"failed_percent": 1, "ttft_factor": 5, "hit_rate_share": 0.5, "requests": 20}


def counted(**more: float) -> figures.Counters:
    return {**dict.fromkeys(figures.NAMES, 0.0), **more}


def test_client_errors_are_no_failures_of_the_service() -> None:
    seen = figures.counters(PAGE)
    assert (seen["requests"], seen["failed"]) == (100, 3)
    assert figures.rates(seen) == {"failed_percent": 3.0, "ttft_ms": 100.0, "hit_rate": 0.5}


def test_no_request_no_rate() -> None:
    assert set(figures.rates(counted()).values()) == {None}


def test_a_frontend_without_a_first_look_is_not_counted() -> None:
    before = {"a": counted(requests=100)}
    after = {"a": counted(requests=130), "b": counted(requests=1e6, failed=5e4)}
    difference = figures.between(before, after)
    assert (difference["requests"], difference["failed"]) == (30, 0)
    assert figures.between({}, after)["requests"] == 0


def test_a_rate_of_few_requests_says_nothing() -> None:
    seen = counted(requests=20, failed=1, ttft_seconds=1.9, ttft_count=19)
    assert figures.rates(seen, few=20) == {
        "failed_percent": 5.0,
        "ttft_ms": None,
        "hit_rate": None,
    }


def test_a_restarted_frontend_counts_from_zero() -> None:
    before = {"a": counted(requests=100, failed=5), "b": counted(requests=10)}
    after = {"a": counted(requests=7, failed=1), "b": counted(requests=15)}
    difference = figures.between(before, after)
    assert (difference["requests"], difference["failed"]) == (12, 1)


@pytest.mark.parametrize(
    ("during", "names"),
    [
        ({"requests": 100.0, "failed": 1.0}, []),
        ({"requests": 100.0, "failed": 2.0}, ["roll_max_failed_percent"]),
        ({"requests": 10.0, "failed": 10.0}, []),
        ({"requests": 100.0, "ttft_seconds": 49.0, "ttft_count": 100.0}, []),
        ({"requests": 100.0, "ttft_seconds": 51.0, "ttft_count": 100.0}, ["roll_max_ttft_factor"]),
        ({"requests": 100.0, "hit_sum": 20.0, "hit_count": 100.0}, ["roll_min_hit_rate_share"]),
    ],
)
def test_budget(during: dict[str, float], names: list[str]) -> None:
    before: dict[str, Any] = {"failed_percent": 0.0, "ttft_ms": 100.0, "hit_rate": 0.5}
    over = figures.over_budget(before, counted(**during), LIMITS)
    assert len(over) == len(names)
    assert all(name in text for name, text in zip(names, over))


def test_a_service_without_a_past_has_no_limit_of_time() -> None:
    before: dict[str, Any] = {"failed_percent": None, "ttft_ms": None, "hit_rate": None}
    slow = counted(requests=100, ttft_seconds=900, ttft_count=100, hit_count=100)
    assert figures.over_budget(before, slow, LIMITS) == []
    # Failures need no past.
    assert len(figures.over_budget(before, {**slow, "failed": 2.0}, LIMITS)) == 1
