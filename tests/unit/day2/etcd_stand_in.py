"""A stand-in for etcd, for tests that have none: its JSON gateway over a dict, on one port.

Ranges, puts, deletions and transactions on a revision, leases that end when told to. Nothing here
says how etcd behaves: molecule and tests/lab have the real one.
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def coded(plain: str) -> str:
    return base64.b64encode(plain.encode()).decode()


class EtcdStandIn(ThreadingHTTPServer):
    """Keys by name: value, lease and revision. `pages`: what GET answers, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.keys: dict[str, tuple[str, int, int]] = {}
        self.leases: set[int] = set()
        self.pages: dict[str, list[str]] = {}  # the last one stays
        self.revision = 1
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def put(self, key: str, value: str, lease: int = 0) -> None:
        self.revision += 1
        self.keys[key] = (value, lease, self.revision)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "kv/range":
            key, end = text(body["key"]), text(body.get("range_end", ""))
            found = [k for k in sorted(self.keys) if (key <= k < end if end else k == key)]
            return {"kvs": [self.row(k) for k in found]}
        if path == "kv/put":
            self.put(text(body["key"]), text(body["value"]), int(body["lease"]))
        elif path == "kv/deleterange":
            self.keys.pop(text(body["key"]), None)
        elif path == "lease/grant":
            self.leases.add(len(self.leases) + 7)
            return {"ID": str(len(self.leases) + 6)}
        elif path == "lease/keepalive":
            return {"result": {"TTL": "9"} if int(body["ID"]) in self.leases else {}}
        elif path == "kv/txn":
            (condition,), (change,) = body["compare"], body["success"]
            _, _, revision = self.keys.get(text(condition["key"]), ("", 0, 0))
            if str(revision) != condition["modRevision"]:
                return {}
            if "requestPut" in change:
                self.answer("kv/put", change["requestPut"])
            else:
                self.answer("kv/deleterange", change["requestDeleteRange"])
            return {"succeeded": True}
        return {}

    def row(self, key: str) -> dict[str, str]:
        value, lease, revision = self.keys[key]
        return {
            "key": coded(key),
            "value": coded(value),
            "lease": str(lease),
            "mod_revision": str(revision),
        }


class Handler(BaseHTTPRequestHandler):
    """Answers of the stand-in."""

    server: EtcdStandIn

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def reply(self, status: int, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        self.wfile.write(content.encode())

    def do_GET(self) -> None:
        pages = self.server.pages.get(self.path)
        if pages is None:
            self.reply(404, "")
        else:
            self.reply(200, pages.pop(0) if len(pages) > 1 else pages[0])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(200, json.dumps(self.server.answer(self.path.partition("/v3/")[2], body)))
