"""Which frontend a client asks: round robin over those whose health check passes.

This is what a load balancer in front of the service does, and it is all that it can do: a request
that a frontend has begun is that frontend's.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ansible.module_utils.dynfleet.verify import client

# What a stopping frontend answers to new requests while it serves those that it has.
DRAINING = "Service is not ready"


def turned_away(connected: bool, status: int, error: str) -> str:
    """Why a request that had not begun may be sent to another frontend; empty where it may not."""
    if not connected:
        return "no connection"
    if status == 503 and DRAINING in error:
        return "draining"
    return ""


class Balancer:
    """The frontends and their health, asked every ``interval`` seconds by a thread of its own."""

    def __init__(self, urls: Sequence[str], interval: float = 1.0) -> None:
        self.urls = list(urls)
        self.interval = interval
        self._lock = threading.Lock()
        self._up = dict.fromkeys(self.urls, True)
        self._next = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(self.interval):
            for url in self.urls:
                healthy = client.ask(f"{url}/health", timeout=1.0).status == 200
                with self._lock:
                    self._up[url] = healthy

    def mark_down(self, url: str) -> None:
        """Leave a frontend out until its next health check."""
        with self._lock:
            self._up[url] = False

    def order(self) -> list[str]:
        """Frontends to try for one request: the healthy ones in turn, then the others."""
        with self._lock:
            self._next += 1
            turn = self._next % len(self.urls)
            rotated = self.urls[turn:] + self.urls[:turn]
            return sorted(rotated, key=lambda url: not self._up[url])
