"""A stand-in for a frontend, one small HTTP server: it streams as Dynamo does, or fails as told.

Nothing here says how a real frontend behaves: tests/lab does.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandIn(ThreadingHTTPServer):
    """``faults``: what the next requests meet, one each; after these all is well."""

    daemon_threads = True

    def __init__(self, *faults: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.faults = deque(faults)
        self.requests: list[dict[str, Any]] = []
        self.healthy = True
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """Answers of the stand-in."""

    server: StandIn

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.reply(200 if self.server.healthy else 503, "{}")

    def reply(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        fault = self.server.faults.popleft() if self.server.faults else ""
        if fault == "draining":
            self.reply(503, '{"message":"Service is not ready","code":503}')
        elif fault == "no worker":
            self.reply(503, '{"message":"Service temporarily unavailable","code":503}')
        elif fault == "lost before an answer":
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.stream(request["max_tokens"], fault)

    def stream(self, wanted: int, fault: str) -> None:
        self.send_response(200)
        self.end_headers()
        written = wanted + {"a word too few": -1, "a word too many": 1}.get(fault, 0)
        for number in range(written):
            if number == 2:
                if fault == "error event":
                    self.event({"error": {"message": "Internal server error", "code": 500}})
                    return
                if fault == "cut":
                    return
                if fault == "pause":
                    time.sleep(0.3)
            worker = {"worker_id": {"decode_worker_id": 7 if number < 3 or fault != "two" else 8}}
            self.event({"choices": [{"delta": {"content": f" w{number}"}}], "nvext": worker})
        reason = "stop" if fault == "stops early" else "length"
        self.event({"choices": [{"delta": {}, "finish_reason": reason}]})
        counted = wanted - 1 if fault in ("stops early", "false count") else wanted
        usage = {"prompt_tokens": 5, "completion_tokens": counted}
        self.event({"choices": [], "usage": usage})
        if fault != "no end":
            self.wfile.write(b"data: [DONE]\n\n")

    def event(self, document: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())
