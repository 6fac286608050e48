"""The readiness gate, run as a unit runs it, against a real HTTP server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

GATE = Path(__file__).resolve().parents[3] / "roles/host/files/wait-ready"


class Endpoint(ThreadingHTTPServer):
    """Answers 503 until it is ready, and counts the questions."""

    ready_after = 0
    asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/health"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200 if self.server.asked > self.server.ready_after else 503)
        self.end_headers()
        self.wfile.write(b"loading")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def gate(url: str, timeout: float, **environment: str) -> tuple[int, str]:
    """Exit status and output of the gate."""
    done = subprocess.run(
        [sys.executable, str(GATE), "--url", url, "--timeout", str(timeout)],
        env={"MAINPID": str(os.getpid()), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_waits_until_the_endpoint_is_ready(endpoint: Endpoint) -> None:
    endpoint.ready_after = 2
    assert gate(endpoint.url, 20) == (0, "")
    assert endpoint.asked == 3


def test_the_deadline_says_what_was_seen(endpoint: Endpoint) -> None:
    endpoint.ready_after = 10**6
    status, told = gate(endpoint.url, 0)
    assert status == 1
    assert told == f"not ready after 0 s: {endpoint.url}: HTTP 503 loading\n"


def test_it_ends_with_the_main_process(endpoint: Endpoint) -> None:
    endpoint.ready_after = 10**6
    ended = subprocess.Popen(["true"])
    ended.wait()
    begun = time.monotonic()
    assert gate(endpoint.url, 20, MAINPID=str(ended.pid)) == (1, "the main process has ended\n")
    assert time.monotonic() - begun < 10


def test_a_proxy_is_not_asked(endpoint: Endpoint) -> None:
    """A network in no_proxy, as Go and curl read it, means nothing to urllib."""
    closed = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.0/8"}
    assert gate(endpoint.url, 2, **closed) == (0, "")
