"""etcd by its HTTP/JSON gateway (/v3, in every etcd since 3.4): no client has to be installed."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.verify import client


class EtcdError(Exception):
    """etcd did not answer, or refused; the message says which."""


class LeaseGone(EtcdError):
    """The lease has ended: the process that held it is gone, or has lost it."""


class Item(NamedTuple):
    """A key with its value."""

    key: str
    value: str
    lease: int  # 0: none
    revision: int  # of its last change


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "replace")


def _after(prefix: str) -> str:
    """The end of the range of keys that begin with a prefix (ASCII)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Etcd:
    """A cluster, asked member by member until one answers."""

    def __init__(self, endpoints: Sequence[str], timeout: float = 5.0) -> None:
        """endpoints: client URLs. timeout: seconds for one member's answer."""
        self.endpoints = list(endpoints)
        self.timeout = timeout

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of the first member that gives one. Raises EtcdError, LeaseGone."""
        silent = []
        for endpoint in self.endpoints:
            answer = client.ask(f"{endpoint}/v3/{path}", self.timeout, body)
            document = answer.document()
            if answer.status == 200 and isinstance(document, dict):
                return document
            said = document.get("error") if isinstance(document, dict) else None
            if said and "lease not found" in said:
                raise LeaseGone(said)
            silent.append(f"{endpoint}: {said or answer.brief()}")
        raise EtcdError(f"no etcd member answers: {'; '.join(silent)}")

    def _range(self, body: dict[str, Any]) -> list[Item]:
        return [
            Item(
                _decode(kv["key"]),
                _decode(kv.get("value", "")),
                int(kv.get("lease", 0)),
                int(kv["mod_revision"]),
            )
            for kv in self.call("kv/range", body).get("kvs", [])
        ]

    def get(self, key: str) -> Item | None:
        """A key, or None where there is none."""
        found = self._range({"key": _encode(key)})
        return found[0] if found else None

    def list(self, prefix: str) -> list[Item]:
        """All keys that begin with a prefix."""
        return self._range({"key": _encode(prefix), "range_end": _encode(_after(prefix))})

    def put(self, key: str, value: str, lease: int = 0) -> None:
        """Write a key. Raises LeaseGone where the lease has ended."""
        self.call("kv/put", {"key": _encode(key), "value": _encode(value), "lease": str(lease)})

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""
        self.call("kv/deleterange", {"key": _encode(key)})

    def replace(self, key: str, value: str | None, revision: int, lease: int = 0) -> bool:
        """Write a key (None: remove it) if its last change still is `revision` (0: no such key).

        Returns whether that was so.
        """
        name = _encode(key)
        change = (
            {"requestDeleteRange": {"key": name}}
            if value is None
            else {"requestPut": {"key": name, "value": _encode(value), "lease": str(lease)}}
        )
        condition = {"key": name, "target": "MOD", "result": "EQUAL", "modRevision": str(revision)}
        answer = self.call("kv/txn", {"compare": [condition], "success": [change]})
        return bool(answer.get("succeeded"))

    def grant(self, seconds: int) -> int:
        """A new lease: keys under it go away when it is not renewed in time."""
        return int(self.call("lease/grant", {"TTL": str(seconds)})["ID"])

    def renew(self, lease: int) -> None:
        """Begin a lease's time anew. Raises LeaseGone."""
        answer = self.call("lease/keepalive", {"ID": str(lease)})
        if int(answer.get("result", {}).get("TTL", 0)) <= 0:
            raise LeaseGone(f"lease {lease:x} has ended")
