"""A stand-in for a frontend and its workers, for tests that have neither: one small HTTP server.

It answers as Dynamo 1.4.2 with the mocker does; ``faults`` make it answer wrongly. Nothing here
says how a real service behaves: tests/lab does.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FIRST_ID = 528506697102229990


class StandIn(ThreadingHTTPServer):
    """Frontend under ``/v1`` and ``/metrics``; worker n under ``/worker/n/metrics``."""

    daemon_threads = True

    def __init__(self, workers: int, *faults: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.workers = workers
        self.faults = faults
        self.counts = [0] * workers
        self.asked: set[str] = set()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def pick(self, prompt: str) -> tuple[int, bool]:
        """The worker for a prompt, and whether it was asked before."""
        with self.lock:
            able = self.workers - ("idle worker" in self.faults)
            worker = sum(self.counts) % able
            self.counts[worker] += 1
            again = prompt in self.asked
            self.asked.add(prompt)
            return worker, again


class Handler(BaseHTTPRequestHandler):
    """Answers of the stand-in."""

    server: StandIn

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def reply(self, status: int, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        faults = self.server.faults
        if self.path == "/v1/models":
            names = [] if "no model" in faults else ["lab"]
            self.reply(200, json.dumps({"data": [{"id": name} for name in names]}))
        elif self.path == "/metrics":
            known = self.server.workers - ("unregistered worker" in faults)
            lines = [
                f'dynamo_component_router_worker_registered{{router_worker_id="{FIRST_ID + i}"}} 1'
                for i in range(known)
            ]
            if "unready" in faults:
                lines.append('dynamo_frontend_model_ready{model="lab"} 0')
            self.reply(200, "\n".join(lines))
        else:
            index = int(self.path.split("/")[2])
            labels = f'dynamo_endpoint="generate",worker_id="{FIRST_ID + index:x}"'
            count = self.server.counts[index]
            self.reply(200, f"dynamo_component_requests_total{{{labels}}} {count}\n")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        faults = self.server.faults
        if "hangs" in faults:
            time.sleep(3)
        if "refuses" in faults:
            self.reply(503, '{"message":"Service temporarily unavailable","code":503}')
            return
        prompt = request["messages"][0]["content"]
        worker, again = self.server.pick(prompt)
        size = len(prompt.split())
        rate = 0.9 if again and "no cache" not in faults else 0.0
        wanted = request["max_tokens"]
        extension: dict[str, Any] = {"timing": {"kv_hit_rate": rate}}
        if "no worker id" not in faults:
            extension["worker_id"] = {"decode_worker_id": FIRST_ID + worker}
        words = [" word"] * wanted
        usage = {"prompt_tokens": size, "completion_tokens": wanted}
        if not request.get("stream"):
            message = {"content": "".join(words)}
            choice = {"message": message, "finish_reason": "length"}
            self.reply(200, json.dumps({"choices": [choice], "usage": usage, "nvext": extension}))
            return
        self.send_response(200)
        self.end_headers()
        for number, word in enumerate(words):
            if number == 2 and "error in stream" in faults:
                self.event({"error": {"message": "Internal server error", "code": 500}})
                break
            if number == 2 and "cut stream" in faults:
                return
            self.event({"choices": [{"delta": {"content": word}}], "nvext": extension})
        self.event({"choices": [{"delta": {}, "finish_reason": "length"}]})
        self.event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, document: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())
