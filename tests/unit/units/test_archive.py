"""Programs out of an archive: all of them, or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet import archive

RELEASE = {"etcd-v3/etcd": b"server", "etcd-v3/etcdctl": b"client", "etcd-v3/README.md": b"text"}
PROGRAMS = ["etcd", "etcdctl"]


def packed(place: Path, content: Mapping[str, bytes]) -> tuple[str, str]:
    """URL and digest of an archive."""
    path = place / "release.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()


def test_programs_are_installed_and_nothing_else(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        url, sha256 = packed(tmp_path, RELEASE)
        archive.install(url, sha256.upper(), PROGRAMS, tmp_path / "tools" / "etcd-1")
    finally:
        os.umask(before)
    assert [path.name for path in (tmp_path / "tools").iterdir()] == ["etcd-1"]
    found = {path.name: path for path in (tmp_path / "tools" / "etcd-1").iterdir()}
    assert sorted(found) == PROGRAMS
    assert found["etcd"].read_bytes() == b"server"
    for path in (*found.values(), tmp_path / "tools", tmp_path / "tools" / "etcd-1"):
        assert path.stat().st_mode & 0o7777 == 0o755


def test_half_a_directory_is_made_anew(tmp_path: Path) -> None:
    directory = tmp_path / "etcd-1"
    directory.mkdir()
    (directory / "etcd").write_bytes(b"ser")
    assert archive.missing(directory, PROGRAMS) == ["etcdctl"]
    archive.install(*packed(tmp_path, RELEASE), PROGRAMS, directory)
    assert archive.missing(directory, PROGRAMS) == []
    assert (directory / "etcd").read_bytes() == b"server"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"etcd-v3/etcd": b"server"}, "0 files named etcdctl"),
        ({**RELEASE, "other/etcd": b"x"}, "2 files named etcd"),
    ],
)
def test_archive_without_the_programs_is_refused(
    tmp_path: Path, content: dict[str, bytes], message: str
) -> None:
    url, sha256 = packed(tmp_path, content)
    with pytest.raises(archive.ArchiveError, match=message):
        archive.install(url, sha256, PROGRAMS, tmp_path / "tools" / "etcd-1")
    assert list((tmp_path / "tools").iterdir()) == []


def test_wrong_digest_names_both_and_leaves_nothing(tmp_path: Path) -> None:
    url, sha256 = packed(tmp_path, RELEASE)
    wanted = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(archive.ArchiveError, match=f"sha256 {sha256}, wanted is {wanted}"):
        archive.install(url, wanted, PROGRAMS, tmp_path / "tools" / "etcd-1")
    assert list((tmp_path / "tools").iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"\x1f\x8b\x08\x00cut"])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "release.tar.gz"
    path.write_bytes(data)
    with pytest.raises(archive.ArchiveError, match="cannot be unpacked"):
        archive.install(
            path.as_uri(), hashlib.sha256(data).hexdigest(), PROGRAMS, tmp_path / "tools" / "etcd-1"
        )
    assert list((tmp_path / "tools").iterdir()) == []


@pytest.mark.parametrize("url", ["file:///not/there.tar.gz", "no url", "http://127.0.0.1:1/x"])
def test_what_cannot_be_fetched_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(archive.ArchiveError, match=f"cannot fetch {url}"):
        archive.install(url, "0" * 64, PROGRAMS, tmp_path / "tools" / "etcd-1")
