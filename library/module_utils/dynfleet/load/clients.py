"""Clients that ask one chat completion after another, each a stream, until they are told to end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ansible.module_utils.dynfleet.load.balancer import Balancer, turned_away
from ansible.module_utils.dynfleet.load.record import FAILED, Record, judge
from ansible.module_utils.dynfleet.verify import chat, requests
from ansible.module_utils.dynfleet.verify.client import Stream


@dataclass(frozen=True)
class Plan:
    """What is asked.

    tokens: fewest and most of an answer; the engine is told to write exactly so many.
    timeout: seconds after which an answer that is not whole counts as lost.
    words: every token of this model is one word.
    pause: longest pause of a client between two requests, in seconds.
    """

    model: str
    streams: int = 24
    tokens: tuple[int, int] = (50, 200)
    prompt_words: int = 30
    timeout: float = 120.0
    words: bool = False
    pause: float = 0.2


def request_body(plan: Plan, wanted: int) -> dict[str, object]:
    """A streamed request for exactly ``wanted`` tokens, with a prompt that nobody asked before."""
    body = requests.body(plan.model, requests.prompt(plan.prompt_words), wanted, streamed=True)
    body.update(ignore_eos=True, min_tokens=wanted)
    return body


def read(stream: Stream, record: Record) -> chat.Reply:
    """Read an answer to its end, and note what a client feels of it."""
    reply = chat.Reply()
    body: list[bytes] = []
    last = time.monotonic()

    def lines() -> Iterator[bytes]:
        for line in stream:
            if stream.status != 200:
                body.append(line)
            yield line

    for data in chat.events(lines()):
        had_text = chat.take_event(reply, data)
        if reply.worker is not None and record.workers[-1:] != [reply.worker]:
            record.workers.append(reply.worker)
        if not had_text:
            continue
        now = time.monotonic()
        if record.ttft is None:
            record.ttft = now - last
        elif now - last > record.longest_gap:
            record.longest_gap, record.gap_ended = now - last, time.time()
        last = now
    reply.status = stream.status
    reply.error = reply.error or stream.error
    if body and not reply.error:
        reply.error = b"".join(body).decode("utf-8", "replace").strip()[:200]
    return reply


def ask(balancer: Balancer, plan: Plan, wanted: int) -> Record:
    """One request. It is sent to another frontend only while none has begun it."""
    body = request_body(plan, wanted)
    record = Record(started=time.time(), frontend="", wanted=wanted)
    deadline = time.monotonic() + plan.timeout
    for url in balancer.order():
        record.frontend = url
        stream = Stream(f"{url}/v1/chat/completions", body, deadline)
        reply = read(stream, record)
        why = turned_away(stream.connected, reply.status, reply.error)
        if not why:
            judge(record, reply, plan.words)
            break
        balancer.mark_down(url)
        record.moved.append(f"{url}: {why}")
    else:
        record.outcome = FAILED
        record.reason = f"no frontend took it: {', '.join(record.moved)}"
    record.ended = time.time()
    return record


class Load:
    """The clients, a thread each. ``took`` is called with every record, one at a time."""

    def __init__(
        self, urls: Sequence[str], plan: Plan, took: Callable[[Record], None], seed: int = 0
    ) -> None:
        self.balancer = Balancer(urls)
        self.plan = plan
        self._took = took
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, args=(random.Random(seed + number),), daemon=True)  # noqa: S311
            for number in range(plan.streams)
        ]

    def start(self) -> None:
        """Begin."""
        self.balancer.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no more requests, and wait for those that are under way."""
        self._end.set()
        for thread in self._threads:
            thread.join()
        self.balancer.stop()

    def _client(self, dice: random.Random) -> None:
        # Not all at once: the first answers end as spread out as the later ones.
        self._end.wait(dice.random() * self.plan.pause * self.plan.streams / 4)
        while not self._end.is_set():
            record = ask(self.balancer, self.plan, dice.randint(*self.plan.tokens))
            with self._lock:
                self._took(record)
            # One that fails at once must not become a storm.
            self._end.wait(
                dice.random() * self.plan.pause + (0.5 if record.outcome == FAILED else 0)
            )
