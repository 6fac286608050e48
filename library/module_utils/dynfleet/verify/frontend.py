"""Ask a frontend for what the service is there for, and say what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.dynfleet.verify import chat, client, metrics, requests

SHORT_TOKENS = 16
LONG_WORDS = 1100
LONG_TOKENS = 1024
REPEATS = 3  # the router hears of cached blocks by events, a moment after the answer
ROUNDS = 6
AT_ONCE = 64
PAGE_SECONDS = 5.0
SETTLE_SECONDS = 10.0  # until what has just become active is known everywhere
UNIT = "dynamo-frontend.service"


class Worker:
    """An expected worker and what was seen of it."""

    def __init__(self, host: str, unit: str, url: str) -> None:
        self.host = host
        self.unit = unit
        self.url = url  # base URL of its system server
        self.instance: int | None = None
        self.before = 0  # generate requests at the start
        self.how = ""  # by what it was seen to serve: "worker id" or "request counter"

    def page(self) -> client.Answer:
        """Its metrics."""
        return client.ask(f"{self.url}/metrics", PAGE_SECONDS)


class Frontend:
    """A frontend, checked step by step; every step adds to ``findings`` and ``seen``."""

    def __init__(
        self, host: str, url: str, model: str, workers: Sequence[Worker], timeout: float
    ) -> None:
        """timeout: seconds for all checks together; url: of the frontend, without a path."""
        self.host = host
        self.url = url
        self.model = model
        self.workers = list(workers)
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        self.findings: list[dict[str, Any]] = []
        self.seen: dict[str, Any] = {}
        self.figures: dict[str, Any] = {}

    def find(self, check: str, expected: str, seen: str, worker: Worker | None = None) -> None:
        """Note a finding about this frontend, or about a worker as this frontend sees it."""
        host, unit = (worker.host, worker.unit) if worker else (self.host, UNIT)
        self.findings.append(
            {"host": host, "unit": unit, "check": check, "expected": expected, "seen": seen}
        )

    def left(self) -> float:
        """Seconds that one request may take: one that hangs leaves time for others."""
        return max(0.0, min(self.deadline - time.monotonic(), self.timeout / 2))

    def complete(self, text: str, streamed: bool = False) -> chat.Reply:
        """One completion of a few tokens."""
        request = requests.body(self.model, text, SHORT_TOKENS, streamed)
        return requests.complete(self.url, request, self.left())

    def check(self) -> None:
        """All checks. A frontend that does not answer or does not complete is not asked more."""
        if not self.check_models():
            return
        self.identify()
        self.check_registered()
        if self.check_unary() and self.check_streamed():
            self.check_cached()
            self.check_served()

    def settle(self, good: Callable[[], bool]) -> bool:
        """Ask until an answer is good; what has just started gets some seconds."""
        end = min(self.deadline, time.monotonic() + SETTLE_SECONDS)
        while not good():
            if time.monotonic() > end:
                return False
            time.sleep(0.3)
        return True

    def check_models(self) -> bool:
        """The model is listed, and not called unready; False where the frontend is silent."""
        answer = client.Answer(0, "", "")

        def listed() -> bool:
            nonlocal answer
            answer = client.ask(f"{self.url}/v1/models", PAGE_SECONDS)
            self.seen["models"] = _model_names(answer.document())
            return answer.status != 200 or self.model in self.seen["models"]

        there = self.settle(listed)
        if answer.status != 200:
            self.find("models", f"a list from {self.url}/v1/models", answer.brief())
            return False
        if not there:
            served = ", ".join(self.seen["models"]) or "none"
            self.find("models", f"{self.model} is served", f"served: {served}")
        page = client.ask(f"{self.url}/metrics", PAGE_SECONDS)
        # Not every version of Dynamo has this metric.
        self.seen["model_ready"] = metrics.model_ready(page.body, self.model)
        if self.seen["model_ready"] is False:
            self.find("model_ready", "dynamo_frontend_model_ready 1", "0")
        return True

    def identify(self) -> None:
        """Learn each worker's instance id and request counter from its own metrics."""

        def look(worker: Worker) -> client.Answer:
            return worker.page()

        with ThreadPoolExecutor(max_workers=16) as pool:
            pages = list(pool.map(look, self.workers))
        for worker, page in zip(self.workers, pages):
            worker.instance, worker.before = metrics.served(page.body)
            if worker.instance is None:
                self.find(
                    "worker metrics",
                    f"{worker.url}/metrics with the worker's id, from {self.host}",
                    page.brief() if page.status != 200 else "no id of endpoint generate",
                    worker,
                )

    def check_registered(self) -> None:
        """Every worker is registered at this frontend's router."""
        known = [worker for worker in self.workers if worker.instance is not None]
        have: list[int] = []

        def complete() -> bool:
            have[:] = metrics.registered(client.ask(f"{self.url}/metrics", PAGE_SECONDS).body)
            return all(worker.instance in have for worker in known)

        self.settle(complete)
        missing = [worker for worker in known if worker.instance not in have]
        for worker in missing:
            self.find(
                "registered",
                f"instance {worker.instance} at the router of {self.host}",
                f"{len(have)} others there" if have else "no worker is registered there",
                worker,
            )
        # Strangers are not a fault: a worker that was killed stays until its lease ends.
        self.seen["registered"] = {
            "expected": len(known) - len(missing),
            "strangers": len(set(have) - {worker.instance for worker in known}),
        }

    def check_unary(self) -> bool:
        """A completion in one piece."""
        reply = self.complete(requests.prompt(20))
        self.figures["answer_ms"] = _ms(reply.seconds)
        return self.judge(reply, "completion", streamed=False)

    def check_streamed(self) -> bool:
        """A streamed completion."""
        reply = self.complete(requests.prompt(20), streamed=True)
        self.seen["stream_events"] = reply.chunks
        if reply.ttft is not None:
            self.figures["ttft_ms"] = _ms(reply.ttft)
        return self.judge(reply, "streamed completion", streamed=True)

    def judge(self, reply: chat.Reply, what: str, streamed: bool) -> bool:
        """Note what is wrong with a reply; True where nothing is."""
        wrong = chat.problems(reply, SHORT_TOKENS, streamed)
        for problem in wrong:
            self.find(f"{what}: {problem['check']}", problem["expected"], problem["seen"])
        return not wrong

    def check_cached(self) -> None:
        """A long prompt, asked again, comes from a cache for the most part."""
        text = requests.prompt(LONG_WORDS)
        first = self.complete(text)
        if not self.judge(first, "long prompt", streamed=False):
            return
        length = first.tokens("prompt")
        if length < LONG_TOKENS:
            self.find("long prompt", f"at least {LONG_TOKENS} tokens", f"{length} counted")
        repeats, cached, source = 0, 0, ""
        while repeats < REPEATS and cached < length / 2:
            repeats += 1
            time.sleep(0.3)
            again = self.complete(text)
            if not self.judge(again, "long prompt again", streamed=False):
                return
            cached, source = chat.cached_tokens(again)
        self.seen["cached"] = {"tokens": cached, "of": length, "source": source, "repeats": repeats}
        self.figures.update(
            long_first_ms=_ms(first.seconds),
            long_again_ms=_ms(again.seconds),
            cached_tokens=cached,
            prompt_tokens=length,
        )
        if cached < length / 2:
            self.find(
                "cached tokens",
                f"at least half of {length} prompt tokens on the second ask",
                f"{cached} ({source})" if source else "the answer does not say",
            )

    def check_served(self) -> None:
        """Every worker takes part of many prompts asked at once, a limited number of times."""
        by_id = {worker.instance: worker for worker in self.workers if worker.instance is not None}
        waiting = set(by_id.values())
        sent = 0
        errors: list[str] = []

        def ask(_number: int) -> chat.Reply:
            return self.complete(requests.prompt(200))

        for _round in range(ROUNDS):
            if not waiting or self.left() == 0:
                break
            count = max(4, 2 * len(waiting))
            with ThreadPoolExecutor(max_workers=min(AT_ONCE, count)) as pool:
                replies = list(pool.map(ask, range(count)))
            sent += count
            for reply in replies:
                errors += [p["seen"] for p in chat.problems(reply, SHORT_TOKENS, False)]
                if reply.worker in by_id:
                    by_id[reply.worker].how = "worker id"
            for worker in waiting:
                # Where answers name no worker, and on a busy service that sends it others' work.
                if not worker.how and metrics.served(worker.page().body).requests > worker.before:
                    worker.how = "request counter"
            waiting = {worker for worker in waiting if not worker.how}
        for worker in sorted(waiting, key=lambda item: (item.host, item.unit)):
            self.find("served", f"one of {sent} requests through {self.host}", "none", worker)
        if errors:
            self.find(
                "concurrent requests", f"{sent} good answers", f"{len(errors)} bad: {errors[0]}"
            )
        self.seen["served"] = {
            "requests": sent,
            "workers": {f"{w.host}/{w.unit}": w.how for w in by_id.values() if w.how},
        }


def _model_names(document: Any) -> list[str]:
    models = document.get("data") if isinstance(document, Mapping) else None
    return [str(model.get("id")) for model in models or []]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
