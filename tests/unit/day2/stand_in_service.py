"""Stand-ins over real HTTP, one small server each: a frontend, and the keys of an etcd.

Nothing here says how the real ones behave: tests/lab and molecule/etcd do.
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Listens from ``start`` to ``stop``, always on the same port."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.shutdown()
        self.server_close()


class Frontend(Server):
    """``status``: of every answer, 503 while it drains. ``models``: listed. ``worker``: routed."""

    def __init__(self) -> None:
        self.status = 200
        self.models = ["lab"]
        self.worker: int | None = 7
        self.completions = 0
        super().__init__(FrontendHandler)


class Handler(BaseHTTPRequestHandler):
    """Answers JSON."""

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def reply(self, status: int, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def request_body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))


class FrontendHandler(Handler):
    """Health, models, metrics, completions."""

    server: Frontend

    def do_GET(self) -> None:
        if self.path == "/metrics":
            name, worker = "dynamo_component_router_worker_registered", self.server.worker
            self.reply(200, "" if worker is None else f'{name}{{router_worker_id="{worker}"}} 1\n')
        elif self.path == "/health":
            self.reply(self.server.status, json.dumps({"status": "healthy"}))
        else:
            listed = {"data": [{"id": name} for name in self.server.models]}
            self.reply(self.server.status, json.dumps(listed))

    def do_POST(self) -> None:
        self.request_body()
        self.server.completions += 1
        if not self.server.models:
            self.reply(404, '{"message":"Model not found","code":404}')
        elif self.server.status != 200:
            self.reply(self.server.status, '{"message":"Service is not ready","code":503}')
        else:
            self.reply(200, '{"choices":[{"message":{"content":"w"}}]}')


class Etcd(Server):
    """Answers every range with ``places``, each a worker that serves, or with ``lock``."""

    def __init__(self, *places: str) -> None:
        self.places = list(places)
        self.lock: dict[str, Any] | None = None
        super().__init__(EtcdHandler)


def _item(key: str, value: Any) -> dict[str, str]:
    content = {"key": key, "value": json.dumps(value)}
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in content.items()}
    return {**encoded, "mod_revision": "1", "lease": "7"}


class EtcdHandler(Handler):
    """Ranges."""

    server: Etcd

    def do_POST(self) -> None:
        key = base64.b64decode(self.request_body()["key"]).decode()
        if key == "dynfleet/roll":
            found = [] if self.server.lock is None else [_item(key, self.server.lock)]
        else:
            found = [
                _item(f"{key}backend/generate/{n:x}", {"transport": {"tcp": f"{place}/generate"}})
                for n, place in enumerate(self.server.places)
            ]
        self.reply(200, json.dumps({"kvs": found}))
