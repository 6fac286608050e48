"""A connection that breaks off is not called another file."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import bundle_pack
import pytest
from ansible.module_utils.dynfleet import archive
from ansible.module_utils.dynfleet.bundle.manifest import BundleError
from ansible.module_utils.dynfleet.download import DownloadError, download

DATA = b"x" * 100_000
SHA256 = hashlib.sha256(DATA).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole; /short and /chunked break off; /silent does too, and has said no length."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"186a0\r\n" + DATA[:50_000])
            return
        if self.path != "/silent":
            self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA if self.path == "/whole" else DATA[:50_000])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("short", "ended after 50000 of 100000 bytes: the connection broke off"),
        ("chunked", "ended before the last part that its server announced: the connection"),
        ("silent", "wanted is .* (50000 bytes; its server says no length)"),
    ],
)
def test_broken_connection_is_told_as_that(
    server: str, tmp_path: Path, path: str, said: str
) -> None:
    with pytest.raises(DownloadError) as error:
        download(f"{server}/{path}", SHA256, tmp_path / "file", direct=True)
    for part in said.split(" .* "):
        assert part in str(error.value)
    assert ("run this again" in str(error.value)) is (path != "silent")
    assert not any(tmp_path.iterdir())


def test_another_file_is_told_with_both_digests(server: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as error:
        download(f"{server}/whole", "0" * 64, tmp_path / "file", direct=True)
    assert str(error.value) == f"{server}/whole has sha256 {SHA256}, wanted is {'0' * 64}"
    assert not any(tmp_path.iterdir())
    download(f"{server}/whole", SHA256.upper(), tmp_path / "file", direct=True)
    assert (tmp_path / "file").read_bytes() == DATA


def test_archives_of_tools_and_of_bundles_tell_it_too(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(archive.ArchiveError, match="ended after 50000 of 100000 bytes"):
        archive.install(f"{server}/short", SHA256, ["etcd"], tmp_path / "tools")
    with pytest.raises(BundleError, match="ended after 50000 of 100000 bytes"):
        bundle_pack.load(tmp_path, {SHA256: f"{server}/short"})
    assert not any(tmp_path.iterdir())
    for _ in range(2):  # what is there is not asked for again
        bundle_pack.load(tmp_path, {SHA256: f"{server}/whole"})
        server = "http://127.0.0.1:1"
    assert [path.name for path in tmp_path.iterdir()] == [SHA256]
