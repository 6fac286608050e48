"""A store of models for tests: model_store.py DIRECTORY STATE ADDRESS PORT.

Serves the files of DIRECTORY with ranges and ETags, and speaks the two endpoints of a model hub
that are used, standing in for a real one: the tree of a commit, in pages of two, and the redirect
of a file to a storage host, which is another port of the same process and refuses a token that was
sent on.

STATE/control.json makes it fail: {"cut": bytes after which each answer breaks off, "budget": bytes
after which a client is refused, in the middle of an answer at first, "refuse": status of every
answer, "ranges": false, "token": what the store and the hub want, "pace": seconds between two
blocks}. Each request is a line of STATE/served.jsonl.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BLOCK = 1 << 16
TREE = re.compile(r"/api/models/(\w+/\w+)/tree/([0-9a-f]{40})")
FILE = re.compile(r"/(\w+/\w+)/resolve/([0-9a-f]{40})/(.+)")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing: requests are noted in the state."""

    def do_GET(self) -> None:
        """Hub, storage or plain store."""
        control = self.server.control()
        path = unquote(urlsplit(self.path).path)
        self.close_connection = True
        if status := control.get("refuse"):
            self.reply(status)
        elif tree := TREE.fullmatch(path):
            self.tree(control, *tree.groups())
        elif file := FILE.fullmatch(path):
            self.resolve(control, *file.groups())
        elif not self.server.storage and self.headers["Authorization"]:
            self.reply(400)
        elif self.server.storage and not self.allowed(control):
            self.reply(401)
        elif self.left(control) <= 0:
            self.reply(410)
        else:
            self.file(control, self.server.directory / path.removeprefix("/storage").lstrip("/"))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A short answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.note(status, len(body))

    def note(self, status: int, count: int) -> None:
        """Note the request."""
        self.server.note(
            {
                "client": self.client_address[0],
                "path": self.path,
                "range": self.headers["Range"],
                "if_range": self.headers["If-Range"],
                "token": self.headers["Authorization"],
                "status": status,
                "bytes": count,
            }
        )

    def left(self, control: dict[str, Any]) -> int:
        """Bytes that the client may still have."""
        return int(control.get("budget") or 1 << 60) - self.server.sent[self.client_address[0]]

    def allowed(self, control: dict[str, Any]) -> bool:
        """Whether no token is wanted, or the right one came."""
        token = control.get("token")
        return not token or self.headers["Authorization"] == f"Bearer {token}"

    def tree(self, control: dict[str, Any], repository: str, _commit: str) -> None:
        """A page of the list of files."""
        if not self.allowed(control):
            self.reply(401)
            return
        root = self.server.directory / repository
        page = int((re.search(r"cursor=(\d+)", self.path) or [0, "0"])[1])
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        shown = paths[page * 2 : page * 2 + 2]
        more = {}
        if paths[page * 2 + 2 :]:
            following = (
                f"{self.server.url}{self.path.split('?')[0]}?recursive=true&cursor={page + 1}"
            )
            more["Link"] = f'<{following}>; rel="next"'
        entries = [self.entry(path, str(path.relative_to(root))) for path in shown]
        self.reply(200, json.dumps(entries).encode(), **more)

    def entry(self, path: Path, name: str) -> dict[str, Any]:
        """As the hub has it: large files in LFS, small ones as Git blobs."""
        data = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        item = {"type": "file", "path": name, "size": len(data), "oid": blob}
        if path.suffix == ".safetensors":
            lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            item["lfs"] = lfs
        return item

    def resolve(self, control: dict[str, Any], repository: str, commit: str, name: str) -> None:
        """Send on to the storage host."""
        if not self.allowed(control):
            self.reply(403)
            return
        place = f"{self.server.storage}/storage/{repository}/{name}"
        self.reply(302, Location=place, **{"X-Repo-Commit": commit})

    def file(self, control: dict[str, Any], path: Path) -> None:
        """A file, or a part of it."""
        if not path.is_file():
            self.reply(404)
            return
        data = path.read_bytes()
        tag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        start, end, status = 0, len(data), 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        if wanted and control.get("ranges", True) and self.headers["If-Range"] in (None, tag):
            start, end, status = int(wanted[1]), min(int(wanted[2]) + 1, len(data)), 206
        if start >= end and data:
            self.reply(416)
            return
        self.send_response(status)
        self.send_header("ETag", tag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.send(data[start:end], status, control)

    def send(self, data: bytes, status: int, control: dict[str, Any]) -> None:
        """The bytes, as far as the control lets them go."""
        sent, end = 0, min(len(data), control.get("cut") or len(data))
        client = self.client_address[0]
        try:
            while sent < end and (left := self.left(control)) > 0:
                count = self.wfile.write(data[sent : min(sent + min(BLOCK, left), end)])
                with self.server.lock:
                    self.server.sent[client] += count
                sent += count
                time.sleep(control.get("pace", 0))
        except OSError:
            pass  # the client has seen enough
        self.note(status, sent)


class Store(ThreadingHTTPServer):
    """A server over a directory.

    storage: URL of the host that the hub sends on to; empty at that host. sent: bytes by client.
    """

    daemon_threads = True

    def __init__(self, directory: Path, state: Path, place: tuple[str, int], storage: str) -> None:
        super().__init__(place, Handler)
        self.directory, self.state, self.storage = directory, state, storage
        self.lock = threading.Lock()
        self.sent: Counter[str] = Counter()
        host, port = self.server_address[:2]
        self.url = f"http://{host}:{port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def control(self) -> dict[str, Any]:
        """What is asked of the server now."""
        try:
            return dict(json.loads((self.state / "control.json").read_text()))
        except FileNotFoundError:
            return {}

    def note(self, request: dict[str, Any]) -> None:
        """Note a request."""
        with self.lock, (self.state / "served.jsonl").open("a") as out:
            out.write(json.dumps(request) + "\n")


def start(directory: Path, state: Path, address: str, port: int) -> tuple[Store, Store]:
    """Start the store and the storage host behind it; both run in threads."""
    storage = Store(directory, state, (address, 0), "")
    return Store(directory, state, (address, port), storage.url), storage


def main() -> None:
    """Entry point."""
    directory, state, address, port = sys.argv[1:]
    start(Path(directory), Path(state), address, int(port))
    threading.Event().wait()


if __name__ == "__main__":
    main()
