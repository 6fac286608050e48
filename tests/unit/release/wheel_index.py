"""A package index of small wheels over HTTP, which counts what is fetched from it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def wheel(name: str, version: str = "1.0", body: str = "", tag: str = "py3-none-any") -> bytes:
    """A wheel of one module that tells its version; the same bytes each time."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f'__version__ = "{version}"\n{body}',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Index:
    """files: content by wheel's name. said: digests that the index tells where they are not the
    files' own. fetched: every file that was asked for, in turn. broken: answered with an error.
    cut: broken off, a byte later each time. held: answered when `go` is set."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.said: dict[str, str] = {}
        self.fetched: list[str] = []
        self.broken: set[str] = set()
        self.cut: set[str] = set()
        self.held: set[str] = set()
        self.go = threading.Event()
        self.url = ""

    def add(
        self, name: str, version: str = "1.0", tag: str = "py3-none-any", body: str = ""
    ) -> str:
        """A file of the index; its pin, as a lock file has it."""
        file = f"{name}-{version}-{tag}.whl"
        self.files[file] = wheel(name, version, body, tag)
        return f"{name}=={version} \\\n    --hash=sha256:{sha256(self.files[file])}\n"

    def page(self, project: str) -> bytes:
        """The links of a project (PEP 503)."""
        links = [
            f'<a href="/files/{file}#sha256={self.said.get(file, sha256(data))}">{file}</a>'
            for file, data in self.files.items()
            if file.split("-")[0].replace("_", "-") == project
        ]
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


@contextmanager
def served(index: Index) -> Iterator[Mapping[str, str]]:
    """Serve an index; the environment by which pip asks it and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            if kind == "files":
                index.fetched.append(name)
            if name in index.held:
                index.go.wait(60)
            found = index.page(name) if kind == "simple" else index.files.get(name)
            if found is None or name in index.broken:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if kind == "simple" else "binary/octet")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            short = len(found) // 2 + len(index.fetched)
            self.wfile.write(found[:short] if name in index.cut else found)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": f"{index.url}/simple",
            "PIP_RETRIES": "0",
            "PIP_NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
    finally:
        server.shutdown()
        server.server_close()
