"""The service as its clients see it, asked again and again while a roll goes on.

A frontend that is away counts nothing: refused connections are in no counter of its own. So every
frontend is looked at, and requests are sent as a load balancer sends them, with a health check and
to another frontend where one has not begun the request; a few of them are completions.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ansible.module_utils.dynfleet.load.balancer import Balancer, turned_away
from ansible.module_utils.dynfleet.verify import chat, requests
from ansible.module_utils.dynfleet.verify.client import Answer, Stream

EVERY = 0.25  # seconds between two requests to one frontend, and between two to any
HEALTH_EVERY = 4  # looks: /health lists every worker, which is much on a large fleet
# Requests: a completion of one token, the others ask for the models. The frontends count it among
# their requests, so that it is rare: the error budget cannot tell it from a client's.
COMPLETION_EVERY = 20
LOOK_SECONDS = 5.0
ASK_SECONDS = 30.0
MOST_OUTAGES = 50  # that are told one by one


class Tally:
    """What became of requests of one kind."""

    def __init__(self) -> None:
        self.asked = 0
        self.kinds: Counter[str] = Counter()
        self.outages: list[list[float]] = []
        self._since: float | None = None

    def note(self, began: float, why: str) -> None:
        """Count one request. began: seconds since the epoch. why: it failed; empty if it did not.

        An outage lasts from the first request that failed to the next that did not.
        """
        self.asked += 1
        if why:
            self.kinds[why] += 1
            self._since = began if self._since is None else self._since
        elif self._since is not None:
            self.close(began)

    def close(self, now: float) -> None:
        """End an outage that lasts."""
        if self._since is not None:
            self.outages.append([self._since, now])
            self._since = None

    def report(self) -> dict[str, Any]:
        """``asked``, ``failures``, ``kinds`` (count by kind), ``longest_gap`` (s), ``outages``.

        outages: begin and end, in seconds since the epoch, of the longest ones.
        """
        by_length = sorted(self.outages, key=lambda outage: outage[0] - outage[1])
        return {
            "asked": self.asked,
            "failures": sum(self.kinds.values()),
            "kinds": dict(self.kinds.most_common()),
            "longest_gap": round(by_length[0][1] - by_length[0][0], 2) if by_length else 0.0,
            "outages": sorted(by_length[:MOST_OUTAGES]),
        }


def kind(stream: Stream) -> str:
    """How an exchange failed: refused, timeout, an HTTP status, cut; empty where it did not."""
    if "in time" in stream.error:
        return "timeout"
    if not stream.connected:
        return "refused" if "Refused" in stream.error else "no connection"
    if stream.status not in (0, 200):
        return str(stream.status)
    return "cut" if stream.error or not stream.status else ""


def _exchange(stream: Stream) -> tuple[str, dict[str, Any]]:
    """How it failed, and the JSON that came."""
    body = b"".join(stream).decode("utf-8", "replace")
    document = Answer(stream.status, body, stream.error).document()
    return kind(stream), document if isinstance(document, dict) else {}


def look(url: str, model: str, health: bool) -> str:
    """Why a frontend does not serve a model; empty where it does. health: ask for that too."""
    deadline = time.monotonic() + LOOK_SECONDS
    if health and (why := _exchange(Stream(f"{url}/health", None, deadline))[0]):
        return why
    why, listed = _exchange(Stream(f"{url}/v1/models", None, deadline))
    return why or ("" if _lists(listed, model) else "no model")


def _lists(answer: dict[str, Any], model: str) -> bool:
    return model in [entry.get("id") for entry in answer.get("data") or []]


def ask(balancer: Balancer, model: str, complete: bool) -> str:
    """Why nobody answered a request to the service; empty where a frontend did.

    complete: a completion is asked for, else the models.
    """
    body = requests.body(model, requests.prompt(3), 1, streamed=False) if complete else None
    path = "chat/completions" if complete else "models"
    deadline = time.monotonic() + ASK_SECONDS
    why = "no frontend"
    for url in balancer.order():
        stream = Stream(f"{url}/v1/{path}", body, deadline)
        why, answer = _exchange(stream)
        # What changes nothing may always be asked elsewhere.
        away = not complete and stream.status == 503
        if not (away or turned_away(stream.connected, stream.status, chat.error_of(answer))):
            if why:
                return why
            if complete:
                return "" if answer.get("choices") else "no completion"
            return "" if _lists(answer, model) else "no model"
        balancer.mark_down(url)
    return why


class Probe:
    """A thread a frontend, and one that asks the service."""

    def __init__(self, frontends: Sequence[str], model: str) -> None:
        """frontends: base URLs. model: as clients ask for it."""
        self.model = model
        self.balancer = Balancer(frontends)
        self.looks = {url: Tally() for url in frontends}
        self.service = Tally()
        self.own = 0
        self._end = threading.Event()

    def _repeat(self, tally: Tally, ask_once: Callable[[int], str]) -> None:
        while not self._end.is_set():
            began, clock = time.time(), time.monotonic()
            tally.note(began, ask_once(tally.asked))
            self._end.wait(max(0.0, EVERY - (time.monotonic() - clock)))
        tally.close(time.time())

    def _look(self, url: str) -> None:
        self._repeat(self.looks[url], lambda n: look(url, self.model, n % HEALTH_EVERY == 0))

    def _ask(self, number: int) -> str:
        complete = number % COMPLETION_EVERY == 0
        why = ask(self.balancer, self.model, complete)
        self.own += complete and not why
        return why

    def run(self, ended: Callable[[], str], seconds: float) -> str:
        """Ask until ``ended``, called once a second, says why, or for ``seconds``; the reason."""
        threads = [threading.Thread(target=self._look, args=(url,)) for url in self.looks]
        threads.append(threading.Thread(target=self._repeat, args=(self.service, self._ask)))
        deadline = time.monotonic() + seconds
        self.balancer.start()
        for thread in threads:
            thread.start()
        while not (why := ended()) and time.monotonic() < deadline:
            time.sleep(1)
        self._end.set()
        for thread in threads:
            thread.join()
        self.balancer.stop()
        return why or f"it had run for {seconds:.0f} s"

    def report(self) -> dict[str, Any]:
        """``service`` and ``frontends`` (by URL): Tally.report. ``own``: completions answered."""
        return {
            "service": self.service.report(),
            "frontends": {url: tally.report() for url, tally in self.looks.items()},
            "own": self.own,
        }
