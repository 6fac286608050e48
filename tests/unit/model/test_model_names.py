"""What is said before anything is fetched: sources, lists of files, progress, room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.model import manifest, progress, room, source

DIGEST = "a" * 64
GOOD = {"config.json": {"size": 1, "sha256": DIGEST}}


@pytest.mark.parametrize(
    ("text", "kind", "place", "commit"),
    [
        ("/mnt/models/llama/", "directory", "/mnt/models/llama", ""),
        ("/mnt/my models/x", "directory", "/mnt/my models/x", ""),
        ("controller:/srv/llama", "controller", "/srv/llama", ""),
        ("rsync://store/models/llama", "rsync", "rsync://store/models/llama", ""),
        ("rsync://store:8730/models/llama/", "rsync", "rsync://store:8730/models/llama", ""),
        ("ansible@store.example.org:/srv/x", "rsync", "ansible@store.example.org:/srv/x", ""),
        ("ansible@[fd00:6::77]:/srv/x/", "rsync", "ansible@[fd00:6::77]:/srv/x", ""),
        ("ansible@[fe80::1%eth0]:/srv/x", "rsync", "ansible@[fe80::1%eth0]:/srv/x", ""),
        ("rsync://[fd00:6::77]:8730/x", "rsync", "rsync://[fd00:6::77]:8730/x", ""),
        ("http://[fd00:6::77]:8080/x", "http", "http://[fd00:6::77]:8080/x", ""),
        ("https://store.example.org/llama/", "http", "https://store.example.org/llama", ""),
        ("hf://org/Name-7B@" + "0f" * 20, "hub", "org/Name-7B", "0f" * 20),
    ],
)
def test_source(text: str, kind: str, place: str, commit: str) -> None:
    assert source.parse(text) == source.Source(kind, place, commit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models/llama", "no form"),
        ("store:/srv/x", "no form"),
        ("-e@store:/srv/x", "no form"),
        ("a@-oProxyCommand=x:/srv/x", "no form"),
        ("ftp://store/x", "no form"),
        ("https://store/a b", "no form"),
        ("/srv/a\nb", "no form"),
        ("/", "root directory"),
        ("https://", "no form"),
        ("https:///x", "no address"),
        ("https://store/x?token=1", "no address"),
        ("https://me:secret@store/x", "holds a password"),
        ("hf://llama@" + "0f" * 20, "names no repository"),
        ("hf://org/name", "no full commit"),
        ("hf://org/name@main", "no full commit"),
        ("hf://org/name@0f0f0f0", "no full commit"),
    ],
)
def test_no_source(text: str, said: str) -> None:
    with pytest.raises(source.SourceError, match=said) as caught:
        source.parse(text)
    assert caught.value.mend
    assert "secret" not in f"{caught.value} {caught.value.mend}"


def test_addresses_of_files() -> None:
    plain = source.parse("https://store/llama")
    assert plain.url("sub/a b#1.json", "") == "https://store/llama/sub/a%20b%231.json"
    hub = source.parse("hf://org/name@" + "0f" * 20)
    assert hub.url("x.json", "https://hub") == f"https://hub/org/name/resolve/{'0f' * 20}/x.json"


def test_manifest() -> None:
    more = {"files": {"weights/b.safetensors": {"size": 0, "sha256": DIGEST}, **GOOD}}
    found = manifest.parse(more)
    assert [file.path for file in found] == ["config.json", "weights/b.safetensors"]
    assert manifest.parse(manifest.content(found)) == found
    assert manifest.total(found) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no object 'files'"),
        ([], "no object 'files'"),
        ({"files": {}}, "no object 'files'"),
        ({"files": {"a": {"size": 1, "sha256": DIGEST}}}, "has no config.json"),
        *(
            ({"files": {**GOOD, path: GOOD["config.json"]}}, "relative path")
            for path in ("/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "")
        ),
        ({"files": {**GOOD, "a\nb": GOOD["config.json"]}}, "control character"),
        ({"files": {**GOOD, ".dynamo-model.json": GOOD["config.json"]}}, "own files"),
        ({"files": {**GOOD, "a": 3}}, "no object"),
        ({"files": {**GOOD, "a": {"size": "3", "sha256": DIGEST}}}, "the size '3'"),
        ({"files": {**GOOD, "a": {"size": True, "sha256": DIGEST}}}, "the size True"),
        ({"files": {**GOOD, "a": {"size": -1, "sha256": DIGEST}}}, "the size -1"),
        ({"files": {**GOOD, "a": {"size": 1}}}, "the sha256 None"),
        ({"files": {**GOOD, "a": {"size": 1, "sha256": DIGEST[:-1]}}}, "64 hexadecimal"),
    ],
)
def test_no_manifest(content: Any, said: str) -> None:
    with pytest.raises(manifest.ManifestError, match=said):
        manifest.parse(content)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {}, "begins"),
        (
            {},
            {"time": 5, "bytes": 1 << 30, "checked": 1, "count": 3},
            "1.0 GiB of 4.0 GiB, 1 of 3 files checked",
        ),
        (
            {"time": 5, "bytes": 1 << 30},
            {"time": 15, "bytes": 2 << 30, "checked": 0, "count": 3},
            "2.0 GiB of 4.0 GiB, 0 of 3 files checked, 102.4 MiB/s, about 20 s left",
        ),
        (
            {"time": 5, "bytes": 1 << 30},
            {"time": 15, "bytes": 1 << 30, "count": 2},
            "1.0 GiB of 4.0 GiB",
        ),
    ],
)
def test_progress(before: Any, now: Any, said: str) -> None:
    assert progress.line(before, now, 4 << 30) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(59.6, "1 min 0 s"), (12, "12 s"), (3700, "1 h 1 min")]
)
def test_duration(seconds: float, said: str) -> None:
    assert progress.duration(seconds) == said


def test_room(tmp_path: Path) -> None:
    assert room.lack(tmp_path / "a" / "b", 1, []) == ""
    old = tmp_path / "model.old"
    old.mkdir()
    (old / "weights").write_bytes(bytes(3 << 20))
    said = room.lack(tmp_path / "a" / "b", 1 << 60, [old])
    assert "needs 1073741824.0 GiB more" in said and f"of {tmp_path} has" in said
    assert f"Not used any more: {old} (3.0 MiB)" in said


def test_closed(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for place in (*tmp_path.parents, tmp_path, inner.parent, inner):
        if str(place).startswith("/tmp/"):  # noqa: S108 - pytest makes its directories closed
            place.chmod(0o755)
    assert room.closed(inner / "x", "nobody") is None
    (tmp_path / "a").chmod(0o750)
    assert room.closed(inner / "x", "nobody") == tmp_path / "a"
    assert room.closed(inner / "x", "a user that is not there") == tmp_path / "a"
    assert room.closed(inner / "x", "root") is None
