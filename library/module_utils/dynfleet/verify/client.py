"""HTTP with a deadline, and never an exception: what went wrong is part of the answer.

Proxy settings of the environment are not followed: every address asked is a host's own.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MOST_BYTES = 8 * 1024 * 1024


class Answer(NamedTuple):
    """What came back."""

    status: int  # 0: no answer
    body: str
    error: str  # why there is no whole answer, else empty

    def document(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def brief(self) -> str:
        """The answer in one short line, for a finding."""
        if self.error:
            return self.error
        return f"HTTP {self.status} {' '.join(self.body.split())[:200]}".strip()


class Stream:
    """One request whose answer is read line by line; use as an iterator, then look at the rest."""

    def __init__(self, url: str, body: dict[str, Any] | None, deadline: float) -> None:
        """deadline: of time.monotonic(), for the whole exchange."""
        self.url = url
        self.status = 0
        self.error = ""
        self.connected = False  # without a connection nothing can have begun
        self._body = None if body is None else json.dumps(body)
        self._deadline = deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def __iter__(self) -> Iterator[bytes]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80)
        try:
            connection.timeout = self._left()
            connection.connect()
            self.connected = True
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Content-Type": "application/json"} if self._body else {}
            connection.request("POST" if self._body else "GET", target, self._body, headers)
            response = connection.getresponse()
            self.status = response.status
            size = 0
            while True:
                left = self._left()
                if connection.sock:
                    connection.sock.settimeout(left)
                line = response.readline(MOST_BYTES)
                size += len(line)
                if not line or size > MOST_BYTES:
                    return
                yield line
        except (TimeoutError, socket.timeout):  # two classes until Python 3.10
            self.error = "no whole answer in time"
        except (OSError, http.client.HTTPException) as error:
            self.error = f"{type(error).__name__}: {error}".rstrip(": ")
        finally:
            connection.close()


def ask(url: str, timeout: float, body: dict[str, Any] | None = None) -> Answer:
    """GET a page, or POST a JSON body; the whole exchange takes at most ``timeout`` seconds."""
    stream = Stream(url, body, time.monotonic() + timeout)
    content = b"".join(stream)
    return Answer(stream.status, content.decode("utf-8", "replace"), stream.error)
