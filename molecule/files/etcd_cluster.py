"""An etcd cluster as its clients see it, over its HTTP API.

etcd_cluster.py verify URL...         all members healthy, one leader, one history
etcd_cluster.py leader URL...         print the URL of the leader
etcd_cluster.py put KEY VALUE URL     write a key
etcd_cluster.py get KEY URL           print a key's value
etcd_cluster.py steady FILE URL...    read and write until FILE is gone, then print what happened
"""
# ruff: noqa: S101

from __future__ import annotations

import base64
import json
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(url: str, path: str, body: dict[str, Any], timeout: float = 5) -> dict[str, Any]:
    """One request to etcd's gRPC gateway."""
    request = urllib.request.Request(f"{url}/v3/{path}", json.dumps(body).encode())  # noqa: S310
    with DIRECT.open(request, timeout=timeout) as answer:
        return json.load(answer)


def code(text: str) -> str:
    """Text as the gateway wants it."""
    return base64.b64encode(text.encode()).decode()


def put(url: str, key: str, value: str, timeout: float = 5) -> None:
    """Write a key at one member."""
    call(url, "kv/put", {"key": code(key), "value": code(value)}, timeout)


def get(url: str, key: str, timeout: float = 5) -> str:
    """Read a key at one member; linearizable, so only with a quorum."""
    found = call(url, "kv/range", {"key": code(key)}, timeout).get("kvs", [{"value": ""}])
    return base64.b64decode(found[0]["value"]).decode()


def leaders(urls: list[str]) -> dict[str, str]:
    """Which member each member takes for the leader, by URL; and itself, if it is that."""
    seen = {}
    for url in urls:
        status = call(url, "maintenance/status", {})
        seen[url] = (
            "self" if status["leader"] == status["header"]["member_id"] else status["leader"]
        )
    return seen


def check(urls: list[str]) -> None:
    """Raise AssertionError where the cluster is not whole."""
    for url in urls:
        with DIRECT.open(f"{url}/health", timeout=5) as answer:
            assert json.load(answer)["health"] == "true", url
    members = call(urls[0], "cluster/member/list", {})["members"]
    assert sorted(member["clientURLs"][0] for member in members) == sorted(urls), members
    seen = leaders(urls)
    assert list(seen.values()).count("self") == 1, seen
    assert len(set(seen.values())) == min(2, len(urls)), seen
    for writer in urls:
        value = uuid.uuid4().hex
        put(writer, "written", value)
        for reader in urls:
            assert get(reader, "written") == value, f"written at {writer}, not seen at {reader}"


def verify(urls: list[str], within: float = 30) -> None:
    """Check until it holds, or fail."""
    deadline = time.monotonic() + within
    while True:
        try:
            return check(urls)
        except (AssertionError, OSError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"not a whole cluster after {within:.0f} s: {error!r}")
            time.sleep(0.3)


def steady(marker: Path, urls: list[str]) -> None:
    """Use the cluster as a client with several endpoints does; count what fails at all of them."""
    marker.touch()
    served = failed = 0
    longest, last, errors = 0.0, time.monotonic(), []
    while marker.exists():
        value = str(served)
        for url in urls[served % len(urls) :] + urls[: served % len(urls)]:
            try:
                put(url, "steady", value, 3)
                assert get(url, "steady", 3) == value, f"{url} forgot a write"
            except OSError as error:
                errors.append(f"{url}: {error}")
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
    elif verb == "put":
        put(arguments[2], arguments[0], arguments[1])
    elif verb == "get":
        print(get(arguments[1], arguments[0]))
    elif verb == "leader":
        print(next(url for url, leader in leaders(arguments).items() if leader == "self"))
    else:
        verify(arguments)


if __name__ == "__main__":
    main()
