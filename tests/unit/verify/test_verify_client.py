"""Requests with a deadline, against a plain socket that says what a test wants (a fake)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible.module_utils.dynfleet.verify import client


@contextmanager
def answering(*parts: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that takes one request, says the parts with a pause before each, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            taken, _ = server.accept()
            with taken:
                taken.recv(65536)
                for part in parts:
                    time.sleep(pause)
                    try:
                        taken.sendall(part)
                    except OSError:
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x?y=1"


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("answer", "status", "body", "error"),
    [
        (OK, 200, "{}", ""),
        (b"HTTP/1.1 503 No\r\nContent-Length: 8\r\n\r\nnotready", 503, "notready", ""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end", ""),
        (b"", 0, "", "RemoteDisconnected"),
        (b"SSH-2.0-OpenSSH\r\n", 0, "", "BadStatusLine"),
    ],
)
def test_answers(answer: bytes, status: int, body: str, error: str) -> None:
    with answering(answer) as url:
        got = client.ask(url, 5)
    assert (got.status, got.body) == (status, body)
    assert error in got.error
    assert bool(error) == bool(got.error)


@pytest.mark.parametrize("parts", [[OK], [OK[:-1], *[b" "] * 20]])
def test_deadline_is_for_the_whole_exchange(parts: list[bytes]) -> None:
    started = time.monotonic()
    with answering(*parts, pause=0.4) as url:
        got = client.ask(url, 0.3)
    assert time.monotonic() - started < 1.0
    assert got.brief() == "no whole answer in time"


def test_refused() -> None:
    assert "refused" in client.ask("http://127.0.0.1:1/", 1).brief()


def test_proxy_settings_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with answering(OK) as url:
        assert client.ask(url, 5).document() == {}


def test_brief() -> None:
    assert client.Answer(503, "not\n ready", "").brief() == "HTTP 503 not ready"
    assert client.Answer(200, "", "").brief() == "HTTP 200"
