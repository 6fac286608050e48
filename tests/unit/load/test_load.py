"""The load generator sees every kind of failure that it has to see, on a stand-in's answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.load.balancer import Balancer
from ansible.module_utils.dynfleet.load.clients import Load, Plan, ask
from ansible.module_utils.dynfleet.load.record import FAILED, TRUNCATED, WHOLE, WRONG, Record
from ansible.module_utils.dynfleet.load.summary import summarise, within
from stand_in_frontend import StandIn

PLAN = Plan(model="lab", words=True, timeout=5)
TOOL = Path(__file__).parents[3] / "tools" / "load"
# Nothing listens there.
CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def frontend() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.shutdown()
    server.server_close()


def one(frontend: StandIn, *faults: str, urls: tuple[str, ...] = ()) -> Record:
    """One request for eight tokens, whose attempts meet these faults."""
    frontend.faults.extend(faults)
    return ask(Balancer([*urls, frontend.url]), PLAN, 8)


def test_a_whole_answer(frontend: StandIn) -> None:
    record = one(frontend)
    assert (record.outcome, record.reason, record.tokens) == (WHOLE, "", 8)
    assert record.ttft is not None
    assert not record.moved
    (request,) = frontend.requests
    # The engine is told the length: what comes short was lost, not ended.
    assert (request["max_tokens"], request["min_tokens"], request["ignore_eos"]) == (8, 8, True)


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("no worker", FAILED, "503"),
        ("lost before an answer", FAILED, "RemoteDisconnected"),
        ("error event", TRUNCATED, "Internal server error, after 2 events with text"),
        ("cut", TRUNCATED, "finish_reason: none"),
        ("no end", TRUNCATED, "end of stream"),
        ("a word too few", TRUNCATED, "words of the text: 7, wanted 8"),
        ("a word too many", WRONG, "words of the text: 9, wanted 8"),
        ("stops early", WRONG, "usage.completion_tokens: 7, wanted 8"),
        ("false count", WRONG, "usage.completion_tokens: 7"),
    ],
)
def test_failure_is_seen(frontend: StandIn, fault: str, outcome: str, reason: str) -> None:
    record = one(frontend, fault)
    assert record.outcome == outcome
    assert reason in record.reason
    # What a frontend has begun is not sent again.
    assert len(frontend.requests) == 1


def test_words_are_counted_only_where_they_are_tokens(frontend: StandIn) -> None:
    frontend.faults.append("a word too few")
    assert ask(Balancer([frontend.url]), Plan(model="lab"), 8).outcome == WHOLE


def test_answer_that_never_ends_is_lost(frontend: StandIn) -> None:
    frontend.faults.append("pause")
    record = ask(Balancer([frontend.url]), Plan(model="lab", timeout=0.1), 8)
    assert record.outcome == TRUNCATED
    assert "no whole answer in time" in record.reason


def test_longest_pause_and_second_worker_are_noted(frontend: StandIn) -> None:
    record = one(frontend, "pause")
    assert 0.25 < record.longest_gap < 2
    assert record.started < record.gap_ended < record.ended
    assert not record.migrated
    assert one(frontend, "two").migrated


def test_request_that_had_not_begun_goes_to_another_frontend(frontend: StandIn) -> None:
    record = ask(Balancer([frontend.url, CLOSED]), PLAN, 8)
    assert record.outcome == WHOLE
    assert record.moved == [f"{CLOSED}: no connection"]
    with_draining = StandIn("draining")
    record = ask(Balancer([frontend.url, with_draining.url]), PLAN, 8)
    assert record.outcome == WHOLE
    assert record.moved == [f"{with_draining.url}: draining"]


def test_no_frontend_at_all_is_a_failure() -> None:
    record = ask(Balancer([CLOSED]), PLAN, 8)
    assert record.outcome == FAILED
    assert record.reason == f"no frontend took it: {CLOSED}: no connection"


def test_frontend_that_is_down_is_asked_last_until_its_health_check_passes(
    frontend: StandIn,
) -> None:
    balancer = Balancer(["http://other", frontend.url], interval=0.02)
    balancer.mark_down(frontend.url)
    assert {balancer.order()[0] for _ in range(4)} == {"http://other"}
    balancer.start()
    for _ in range(200):
        if balancer.order()[0] == frontend.url:
            break
        balancer._end.wait(0.02)
    assert {balancer.order()[0] for _ in range(4)} == {frontend.url}
    balancer.stop()


def test_load_runs_until_it_is_stopped_and_finishes_what_it_began(frontend: StandIn) -> None:
    records: list[Record] = []
    load = Load(
        [frontend.url], Plan(model="lab", streams=4, tokens=(5, 9), pause=0.01), records.append
    )
    load.start()
    while len(records) < 20:
        load._end.wait(0.01)
    load.stop()
    assert len(records) == len(frontend.requests)
    assert {record.outcome for record in records} == {WHOLE}
    assert {record.wanted for record in records} <= set(range(5, 10))


def test_summary_counts_by_outcome_and_by_reason() -> None:
    records = [
        Record(1.0, "a", 8, ended=5.0, tokens=8, ttft=0.1, longest_gap=3.0, gap_ended=2.0),
        Record(1.0, "a", 8, ended=6.0, tokens=8, ttft=0.3, longest_gap=0.5, gap_ended=5.5),
        Record(1.0, "b", 8, ended=7.0, outcome=FAILED, reason="HTTP 500 at 17", moved=["x"]),
        Record(1.0, "b", 8, ended=8.0, outcome=FAILED, reason="HTTP 500 at 18"),
        Record(1.0, "b", 8, ended=9.0, outcome=TRUNCATED, reason="cut"),
    ]
    seen = summarise(records, start=4.0)
    assert (seen["requests"], seen["whole"], seen["failed"], seen["truncated"]) == (5, 2, 2, 1)
    assert seen["reasons"] == {"HTTP N at N": 2, "cut": 1}
    # The longer pause was over before.
    assert (seen["longest_pause"], seen["median_ttft"], seen["moved"]) == (0.5, 0.3, 1)
    assert seen["frontends"] == {"a": 2, "b": 3}
    assert [record.ended for record in within(records, 6.0, 9.0)] == [6.0, 7.0, 8.0]


@pytest.mark.parametrize(("fault", "code"), [("", 0), ("cut", 1)])
def test_tool_reports_and_exits_by_what_it_saw(
    frontend: StandIn, tmp_path: Path, fault: str, code: int
) -> None:
    frontend.faults.extend([fault] if fault else [])
    log = tmp_path / "log"
    options = [
        "--model",
        "lab",
        "--streams",
        "2",
        "--tokens",
        "4",
        "6",
        "--seconds",
        "0.5",
        "--words",
    ]
    done = subprocess.run(
        [sys.executable, TOOL, *options, "--log", log, frontend.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    report = json.loads(done.stdout)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert report["requests"] == len(lines) > 0
    assert (
        report["truncated"] == len([line for line in lines if line["outcome"] == TRUNCATED]) == code
    )
