"""The modules that count: frontends that come, go and start anew. The frontends are stand-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import frontend_figures
import pytest
import worker_service
from ansible.module_utils.dynfleet.day2.report import Failed
from ansible.module_utils.testing import patch_module_args
from etcd_stand_in import EtcdStandIn


def page(requests: int, failed: int = 0, ttft: float = 0.0) -> str:
    name = "dynamo_frontend_requests_total"
    token = "dynamo_frontend_time_to_first_token_seconds"  # noqa: S105 - a metric
    return (
        f'{name}{{error_type="",status="success"}} {requests - failed}\n'
        f'{name}{{error_type="internal",status="error"}} {failed}\n'
        f"{token}_sum {ttft * requests}\n{token}_count {requests}\n"
    )


@pytest.fixture
def frontends() -> Iterator[list[EtcdStandIn]]:
    """Two servers with a metrics page each."""
    servers = [EtcdStandIn(), EtcdStandIn()]
    yield servers
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend_figures, "LOOK_SECONDS", 0.2)


def figures(
    capsys: pytest.CaptureFixture[str], frontends: list[EtcdStandIn], **more: Any
) -> dict[str, Any]:
    arguments = {"frontends": [server.url for server in frontends], **more}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        frontend_figures.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_before_is_what_came_in_just_now(
    capsys: pytest.CaptureFixture[str], frontends: list[EtcdStandIn]
) -> None:
    # Over its life one of ten requests has failed; of the last hundred none.
    one, other = frontends
    one.pages["/metrics"] = [page(10**6, 10**5), page(10**6 + 50, 10**5), page(10**6 + 100, 10**5)]
    seen = figures(capsys, [one, other], window=1, few=20)
    assert (seen["requests"], seen["rates"]["failed_percent"]) == (100, 0.0)
    assert seen["uncounted"] == [other.url]
    assert seen["counters"][one.url]["requests"] == 10**6 + 100


def test_an_idle_service_is_not_waited_for(
    capsys: pytest.CaptureFixture[str], frontends: list[EtcdStandIn]
) -> None:
    frontends[0].pages["/metrics"] = [page(500, 5, 0.1)]
    seen = figures(capsys, frontends, window=30, few=20)
    assert seen["window_seconds"] < 10
    assert set(seen["rates"].values()) == {None}


def test_since_then_counts_who_was_there_then(
    capsys: pytest.CaptureFixture[str], frontends: list[EtcdStandIn]
) -> None:
    one, other = frontends
    one.pages["/metrics"] = [page(100), page(140)]
    before = figures(capsys, [one, other])["counters"]
    other.pages["/metrics"] = [page(10**6, 50000)]
    seen = figures(capsys, [one, other], since=before)
    assert (seen["requests"], seen["failures"], seen["uncounted"]) == (40, 0, [other.url])


class Roll:
    """A roll's turns, seen by their budget alone."""

    def __init__(self, frontends: list[EtcdStandIn]) -> None:
        self.urls = [server.url for server in frontends]
        self.known: dict[str, Any] = {}

    def turn(self, frontends: list[EtcdStandIn], after: list[str | None]) -> dict[str, Any]:
        """Rates after a turn at whose end the frontends have these pages."""
        budget = {
            "counters": self.known,
            "before": {"failed_percent": 0.0, "ttft_ms": None, "hit_rate": None},
            "limits": {
                "failed_percent": 1,
                "ttft_factor": 5,
                "hit_rate_share": 0,
                "requests": 20,
            },
        }
        params = {"frontends": self.urls, "budget": budget}
        late = worker_service.late_frontends(params)
        for server, text in zip(frontends, after):
            server.pages = {} if text is None else {"/metrics": [text]}
        result = worker_service.within_budget(params, late)
        self.known = {**late, **self.known}
        return result


def test_a_frontend_that_is_back_is_counted_from_its_first_turn(
    frontends: list[EtcdStandIn],
) -> None:
    roll = Roll(frontends)
    frontends[0].pages["/metrics"] = [page(1000)]
    roll.turn(frontends, [page(1000), None])
    # It comes back within this turn: nothing can be said of it yet.
    seen = roll.turn(frontends, [page(1100), page(10**6, 50000)])
    assert (seen["requests"], seen["failed_percent"]) == (100, 0.0)
    seen = roll.turn(frontends, [page(1200), page(10**6 + 100, 50000)])
    assert (seen["requests"], seen["failed_percent"]) == (300, 0.0)
    with pytest.raises(Failed, match="10 of 500 requests failed"):
        roll.turn(frontends, [page(1300), page(10**6 + 200, 50010)])


def test_a_frontend_that_was_restarted_counts_from_its_start(
    frontends: list[EtcdStandIn],
) -> None:
    roll = Roll(frontends[:1])
    frontends[0].pages["/metrics"] = [page(10**6, 50000)]
    roll.turn(frontends, [page(10**6 + 30, 50000)])
    seen = roll.turn(frontends, [page(40)])
    assert (seen["requests"], seen["failed_percent"]) == (40, 0.0)
