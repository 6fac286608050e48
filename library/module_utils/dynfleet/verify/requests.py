"""Send chat completions."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from ansible.module_utils.dynfleet.verify import chat
from ansible.module_utils.dynfleet.verify.client import Stream

# Common words: each is one token, or a few, of any tokenizer.
_WORDS = """
time year people way day man thing woman life child world school state family student group
country problem hand part place case week company system program question work government number
night point home water room mother area money story fact month lot right study book eye job word
business issue side kind head house service friend father power hour game line end
"""


def prompt(words: int) -> str:
    """A text of so many words that nobody has asked before (6 bits a word)."""
    return " ".join(random.SystemRandom().choices(_WORDS.split(), k=words))


def body(model: str, text: str, max_tokens: int, streamed: bool) -> dict[str, Any]:
    """A chat completion request that also asks which worker served and what was cached."""
    request: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": max_tokens,
        "nvext": {"extra_fields": ["timing", "worker_id"]},
    }
    if streamed:
        request.update(stream=True, stream_options={"include_usage": True})
    return request


def complete(url: str, request: dict[str, Any], timeout: float) -> chat.Reply:
    """Ask a frontend (its base URL) for a completion; at most ``timeout`` seconds, no exception."""
    started = time.monotonic()
    reply = chat.Reply()
    lines: list[bytes] = []  # of an answer that is not a stream of events
    streamed = bool(request.get("stream"))
    stream = Stream(f"{url}/v1/chat/completions", request, started + timeout)
    if streamed:
        for data in chat.events(_keep(stream, lines)):
            if chat.take_event(reply, data) and reply.ttft is None:
                reply.ttft = time.monotonic() - started
    else:
        lines.extend(stream)
    reply.status = stream.status
    reply.error = reply.error or stream.error
    reply.seconds = time.monotonic() - started
    if not streamed or reply.status != 200:
        whole = b"".join(lines).decode("utf-8", "replace")
        try:
            chat.take(reply, json.loads(whole), "message")
        except ValueError:
            reply.error = reply.error or f"not JSON: {whole[:100]!r}"
    return reply


def _keep(stream: Stream, lines: list[bytes]) -> Any:
    """Pass a stream on, with its lines kept when it is not a success."""
    for line in stream:
        if stream.status != 200:
            lines.append(line)
        yield line
