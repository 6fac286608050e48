"""A NATS cluster as its clients see it, over its text protocol and its monitoring port.

nats_cluster.py verify ADDRESS...       routes, JetStream, messages from each server to each other
nats_cluster.py leader ADDRESS...       print the address of JetStream's leader
nats_cluster.py steady FILE ADDRESS...  send and receive until FILE is gone, then say what happened
"""
# ruff: noqa: S101

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

STREAM = "proof"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Client:
    """A connection to one server."""

    def __init__(self, address: str, timeout: float = 3) -> None:
        self.socket = socket.create_connection((address, 4222), timeout)
        self.lines = self.socket.makefile("rb")
        self.subscriptions = 0
        self.expect("INFO")
        self.send('CONNECT {"verbose": false, "name": "test"}\r\nPING\r\n')
        self.expect("PONG")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def line(self) -> str:
        """The next protocol line."""
        raw = self.lines.readline()
        if not raw:
            raise OSError("the server closed the connection")
        return raw.decode().strip()

    def send(self, text: str) -> None:
        """Send protocol lines."""
        self.socket.sendall(text.encode())

    def expect(self, wanted: str) -> str:
        """Read until a line begins with a word; answer the server's own questions."""
        while not (line := self.line()).startswith(wanted):
            if line == "PING":
                self.send("PONG\r\n")
            elif line.startswith("-ERR"):
                raise OSError(line)
        return line

    def subscribe(self, subject: str) -> None:
        """Subscribe, and wait until the server knows it."""
        self.subscriptions += 1
        self.send(f"SUB {subject} {self.subscriptions}\r\nPING\r\n")
        self.expect("PONG")

    def publish(self, subject: str, text: str, reply: str = "") -> None:
        """Publish a message."""
        self.send(f"PUB {subject} {reply} {len(text.encode())}\r\n{text}\r\n")

    def message(self, timeout: float) -> str:
        """The payload of the next message."""
        self.socket.settimeout(timeout)
        size = int(self.expect("MSG").split()[-1])
        return self.lines.read(size + 2)[:size].decode()

    def request(self, subject: str, body: Any, timeout: float = 5) -> dict[str, Any]:
        """Ask, and take the first answer."""
        inbox = f"_INBOX.{uuid.uuid4().hex}"
        self.subscribe(inbox)
        self.publish(subject, body if isinstance(body, str) else json.dumps(body), inbox)
        return json.loads(self.message(timeout))


def monitor(address: str, path: str) -> dict[str, Any]:
    """A page of the monitoring port."""
    with DIRECT.open(f"http://{address}:8222/{path}", timeout=5) as answer:
        return json.load(answer)


def leaders(addresses: list[str]) -> dict[str, str]:
    """Name of JetStream's leader, as each server sees it, by the server's own name."""
    return {
        monitor(address, "varz")["server_name"]: monitor(address, "jsz")["meta_cluster"]["leader"]
        for address in addresses
    }


def across(receiver: str, sender: str) -> None:
    """Send a message through one server to a client of another."""
    subject, text = f"across.{uuid.uuid4().hex}", uuid.uuid4().hex
    with Client(receiver) as inward, Client(sender) as outward:
        inward.subscribe(subject)
        for _ in range(10):  # the other server hears of the subscription a little later
            outward.publish(subject, text)
            try:
                assert inward.message(0.3) == text, f"{sender} to {receiver}"
            except TimeoutError:
                inward.lines = inward.socket.makefile("rb")
            else:
                return
    raise OSError(f"no message from {sender} to {receiver}")


def keep(addresses: list[str]) -> None:
    """Store a message in a stream with a copy on every server, and find it at all of them."""
    with Client(addresses[0]) as client:
        made = client.request(
            f"$JS.API.STREAM.CREATE.{STREAM}",
            {"name": STREAM, "subjects": [f"{STREAM}.>"], "num_replicas": len(addresses)},
        )
        assert "error" not in made or made["error"]["err_code"] == 10058, made
    with Client(addresses[-1]) as client:
        stored = client.request(f"{STREAM}.message", "kept")
        assert stored.get("stream") == STREAM, stored
        seen = client.request(f"$JS.API.STREAM.INFO.{STREAM}", {})
    assert seen["state"]["messages"] == stored["seq"], f"messages were lost: {seen['state']}"
    followers = seen["cluster"]["replicas"]
    assert [peer for peer in followers if not peer["current"]] == [], followers
    assert len(followers) == len(addresses) - 1, followers


def check(addresses: list[str]) -> None:
    """Raise AssertionError where the cluster is not whole."""
    for address in addresses:
        peers = {route["remote_id"] for route in monitor(address, "routez")["routes"]}
        assert len(peers) == len(addresses) - 1, f"{address} has routes to {peers}"
    seen = leaders(addresses)
    assert len(set(seen.values())) == 1, seen
    assert set(seen.values()) <= set(seen), seen
    for receiver in addresses:
        for sender in addresses:
            if sender != receiver:
                across(receiver, sender)
    keep(addresses)


def verify(addresses: list[str], within: float = 40) -> None:
    """Check until it holds, or fail."""
    deadline = time.monotonic() + within
    while True:
        try:
            return check(addresses)
        except (AssertionError, OSError, KeyError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"not a whole cluster after {within:.0f} s: {error!r}")
            time.sleep(0.5)


def steady(marker: Path, addresses: list[str]) -> None:
    """Send through one server to another, again and again; count when no pair of servers could."""
    marker.touch()
    pairs = [(one, two) for one in addresses for two in addresses if one != two]
    served = failed = 0
    longest, last, errors = 0.0, time.monotonic(), []
    while marker.exists():
        for receiver, sender in pairs[served % len(pairs) :] + pairs[: served % len(pairs)]:
            try:
                across(receiver, sender)
            except OSError as error:
                errors.append(f"{sender} to {receiver}: {error}")
            else:
                served += 1
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
                break
        else:
            failed += 1
        time.sleep(0.05)
    print(
        json.dumps({"served": served, "failed": failed, "longest": longest, "errors": errors[-5:]})
    )


def main() -> None:
    """Entry point."""
    verb, *arguments = sys.argv[1:]
    if verb == "steady":
        steady(Path(arguments[0]), arguments[1:])
    elif verb == "leader":
        name = next(iter(leaders(arguments).values()))
        print(next(a for a in arguments if monitor(a, "varz")["server_name"] == name))
    else:
        verify(arguments)


if __name__ == "__main__":
    main()
