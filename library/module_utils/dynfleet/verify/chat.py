"""Chat completions: read an answer, whole or streamed, and say what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Problem = dict[str, str]  # check, expected, seen


@dataclass
class Reply:
    """What a chat completion gave."""

    status: int = 0
    error: str = ""
    content: str = ""
    finish_reason: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    worker: int | None = None  # instance id of the worker that generated it
    hit_rate: float | None = None  # share of the prompt that the router found cached, 0 to 1
    chunks: int = 0  # streamed: events with text
    done: bool = False  # streamed: ended by [DONE]
    seconds: float = 0.0  # whole exchange
    ttft: float | None = None  # streamed: seconds until the first text

    def tokens(self, kind: str) -> int:
        """``prompt`` or ``completion`` tokens as counted by the service; 0 where it is silent."""
        value = self.usage.get(f"{kind}_tokens")
        return value if isinstance(value, int) else 0


def events(lines: Iterable[bytes]) -> Iterator[str]:
    """Data of server-sent events: the ``data:`` lines of an event joined, comments left out."""
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def error_of(document: Any) -> str:
    """The message of an error body or error event; empty where it is none.

    Seen: ``{"error": {"message": ...}}``, ``{"error": "..."}``, ``{"message": ..., "code": ...}``.
    """
    body = _mapping(document)
    error = body.get("error")
    if error:
        return str(_mapping(error).get("message") or error)
    if "choices" not in body and body.get("message"):
        return str(body["message"])
    return ""


def _take_extension(reply: Reply, body: Mapping[str, Any]) -> None:
    extension = _mapping(body.get("nvext"))
    worker = _mapping(extension.get("worker_id")).get("decode_worker_id")
    rate = _mapping(extension.get("timing")).get("kv_hit_rate")
    if isinstance(worker, int):
        reply.worker = worker
    if isinstance(rate, (int, float)):
        reply.hit_rate = float(rate)


def take(reply: Reply, document: Any, part: str) -> bool:
    """Add a body (part ``message``) or a stream's event (part ``delta``); True where it has text.

    Reasoning counts as text: a short answer of a reasoning model has nothing else.
    """
    body = _mapping(document)
    reply.error = reply.error or error_of(body)
    _take_extension(reply, body)
    if isinstance(body.get("usage"), Mapping):
        reply.usage = dict(body["usage"])
    text = ""
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        said = _mapping(_mapping(choice).get(part))
        text += str(said.get("content") or said.get("reasoning_content") or "")
        reply.finish_reason = str(_mapping(choice).get("finish_reason") or reply.finish_reason)
    reply.content += text
    return bool(text)


def take_event(reply: Reply, data: str) -> bool:
    """Add a stream's event by its data; True where it has text."""
    if data == "[DONE]":
        reply.done = True
        return False
    try:
        document = json.loads(data)
    except ValueError:
        reply.error = reply.error or f"an event is not JSON: {data[:100]}"
        return False
    had_text = take(reply, document, "delta")
    reply.chunks += had_text
    return had_text


def problems(reply: Reply, wanted: int, streamed: bool) -> list[Problem]:
    """What is wrong with a reply to a request for at most ``wanted`` tokens.

    The text itself is not judged. An error leaves nothing else to say.
    """
    if reply.error or reply.status != 200:
        seen = f"HTTP {reply.status}: {reply.error}" if reply.status else reply.error
        if reply.content:
            seen += f", after {reply.chunks} events with text"
        return [{"check": "answer", "expected": "HTTP 200 and no error", "seen": seen}]
    found: list[Problem] = []

    def expect(good: bool, check: str, expected: str, seen: str) -> None:
        if not good:
            found.append({"check": check, "expected": expected, "seen": seen})

    completion = reply.tokens("completion")
    expect(bool(reply.content.strip()), "content", "some text", repr(reply.content[:100]))
    expect(
        reply.finish_reason in ("length", "stop"),
        "finish_reason",
        "length or stop",
        reply.finish_reason or "none",
    )
    expect(
        reply.tokens("prompt") > 0,
        "usage.prompt_tokens",
        "more than 0",
        str(reply.usage.get("prompt_tokens", "absent")),
    )
    expect(
        completion == wanted or (reply.finish_reason == "stop" and completion > 0),
        "usage.completion_tokens",
        f"{wanted}, or fewer after finish_reason stop",
        str(reply.usage.get("completion_tokens", "absent")),
    )
    if streamed:
        expect(reply.done, "end of stream", "[DONE]", f"ended after {reply.chunks} events")
    return found


def cached_tokens(reply: Reply) -> tuple[int, str]:
    """Tokens of the prompt that were taken from a cache, and which field says so.

    The engine's own count where there is one, else the router's hit rate times the prompt;
    the source is empty where the answer has neither.
    """
    counted = _mapping(reply.usage.get("prompt_tokens_details")).get("cached_tokens")
    if isinstance(counted, int):
        return counted, "usage.prompt_tokens_details.cached_tokens"
    if reply.hit_rate is not None:
        return round(reply.hit_rate * reply.tokens("prompt")), "nvext.timing.kv_hit_rate"
    return 0, ""
