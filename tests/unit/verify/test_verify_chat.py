"""Reading completions. The events and bodies were recorded from Dynamo 1.4.2, shortened."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dynfleet.verify import chat

FIRST = (
    '{"choices":[{"index":0,"delta":{"content":" w1796","role":"assistant"},"finish_reason":null}],'
    '"usage":null,"nvext":{"worker_id":{"decode_worker_id":528506697102229993}}}'
)
LAST = (
    '{"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":"length"}],"usage":null,'
    '"nvext":{"worker_id":{"decode_worker_id":528506697102229993},"timing":{"kv_hit_rate":0.5}}}'
)
USAGE = '{"choices":[],"usage":{"prompt_tokens":26,"completion_tokens":1,"total_tokens":27}}'
ERROR = '{"error":{"message":"Internal server error","type":"internal_server_error","code":500}}'
WHOLE = {
    "choices": [
        {
            "index": 0,
            "message": {"content": " w1624", "role": "assistant", "reasoning_content": None},
            "finish_reason": "length",
        }
    ],
    "usage": {"prompt_tokens": 26, "completion_tokens": 1, "total_tokens": 27},
    "nvext": {"worker_id": {"decode_worker_id": 5}, "timing": {"kv_hit_rate": 0.25}},
}


def stream(*data: str) -> chat.Reply:
    reply = chat.Reply(status=200)
    for item in data:
        chat.take_event(reply, item)
    return reply


def whole(**changes: Any) -> chat.Reply:
    reply = chat.Reply(status=200)
    chat.take(reply, WHOLE, "message")
    for name, value in changes.items():
        setattr(reply, name, value)
    return reply


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        ([b"data: a\n", b"\n"], ["a"]),
        ([b"data: a\r\n", b"\r\n", b"data: b\r\n", b"\r\n"], ["a", "b"]),
        ([b"data:a\n", b"data: b\n", b"\n"], ["a\nb"]),
        ([b": ping\n", b"\n", b"event: x\n", b"id: 1\n", b"data: a\n", b"\n"], ["a"]),
        ([b"data:  two spaces\n"], [" two spaces"]),
        ([b"\n", b"\n"], []),
        ([b'{"message":"not a stream"}'], []),
    ],
)
def test_events(lines: list[bytes], events: list[str]) -> None:
    assert list(chat.events(lines)) == events


def test_good_stream() -> None:
    reply = stream(FIRST, LAST, USAGE, "[DONE]")
    assert (reply.content, reply.chunks, reply.done) == (" w1796", 1, True)
    assert (reply.worker, reply.hit_rate) == (528506697102229993, 0.5)
    assert chat.problems(reply, 1, streamed=True) == []


def test_error_inside_a_stream_of_status_200_is_found() -> None:
    (problem,) = chat.problems(stream(FIRST, ERROR, "[DONE]"), 1, streamed=True)
    assert problem["check"] == "answer"
    assert problem["seen"] == "HTTP 200: Internal server error, after 1 events with text"


@pytest.mark.parametrize(
    ("data", "check"),
    [
        ((FIRST, LAST, USAGE), "end of stream"),
        ((LAST, USAGE, "[DONE]"), "content"),
        ((FIRST, USAGE, "[DONE]"), "finish_reason"),
        ((FIRST, LAST, "[DONE]"), "usage.prompt_tokens"),
        (("<html>", "[DONE]"), "answer"),
    ],
)
def test_bad_stream(data: tuple[str, ...], check: str) -> None:
    assert chat.problems(stream(*data), 1, streamed=True)[0]["check"] == check


@pytest.mark.parametrize(
    ("changes", "checks"),
    [
        ({}, []),
        ({"content": " \n"}, ["content"]),
        ({"finish_reason": "content_filter"}, ["finish_reason"]),
        ({"usage": {}}, ["usage.prompt_tokens", "usage.completion_tokens"]),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2}}, ["usage.completion_tokens"]),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": None}}, ["usage.completion_tokens"]),
        ({"status": 503}, ["answer"]),
        ({"status": 0, "error": "no whole answer in time"}, ["answer"]),
    ],
)
def test_whole_answer(changes: dict[str, Any], checks: list[str]) -> None:
    found = chat.problems(whole(**changes), 1, streamed=False)
    assert [problem["check"] for problem in found] == checks


def test_fewer_tokens_are_right_after_a_stop() -> None:
    assert chat.problems(whole(finish_reason="stop"), 16, streamed=False) == []


def test_reasoning_counts_as_text() -> None:
    reply = chat.Reply()
    body = {"choices": [{"message": {"content": None, "reasoning_content": "Let me see"}}]}
    assert chat.take(reply, body, "message")
    assert reply.content == "Let me see"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"error": {"message": "bad", "code": 500}}, "bad"),
        ({"error": "bad"}, "bad"),
        ({"message": "Model not found", "type": "Not Found", "code": 404}, "Model not found"),
        (WHOLE, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_error_of(document: Any, message: str) -> None:
    assert chat.error_of(document) == message


@pytest.mark.parametrize(
    ("changes", "tokens", "source"),
    [
        ({}, 6, "nvext.timing.kv_hit_rate"),  # a quarter of 26, rounded
        (
            {"usage": {"prompt_tokens": 26, "prompt_tokens_details": {"cached_tokens": 16}}},
            16,
            "usage.prompt_tokens_details.cached_tokens",
        ),
        ({"usage": {"prompt_tokens": 26, "prompt_tokens_details": None}, "hit_rate": None}, 0, ""),
    ],
)
def test_cached_tokens(changes: dict[str, Any], tokens: int, source: str) -> None:
    assert chat.cached_tokens(whole(**changes)) == (tokens, source)
