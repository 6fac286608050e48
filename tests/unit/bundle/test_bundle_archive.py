"""A bundle is what its manifest says; else it is refused, naming the first file that differs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import IO, Any

import pytest
from ansible.module_utils.dynfleet.bundle import archive, closure, manifest, unpack
from ansible.module_utils.dynfleet.bundle.manifest import BundleError

RELEASE = {"id": "set-0123456789", "set": "set", "locks": {"worker-py3.12": "a" * 64}}
PACKAGES = {"trixie": {"key": "KEY", "packages": {"nats-server": "2.10"}}}
CONTENT = {
    "wheels/a-1-py3-none-any.whl": b"wheel",
    "wheels/origins.json": b"{}",
    "apt/trixie/InRelease": b"signed",
    "apt/trixie/libstdc++6_14.2.0-19_amd64.deb": b"package",
    f"archives/{'b' * 64}": b"archive",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of small files."""
    sources = {}
    for name, data in CONTENT.items():
        sources[name] = tmp_path / "from" / name
        sources[name].parent.mkdir(parents=True, exist_ok=True)
        sources[name].write_bytes(data)
    digests = {name: (sha256(data), len(data)) for name, data in CONTENT.items()}
    made = manifest.made(RELEASE, PACKAGES, {"b" * 64: "https://example.org/x"}, digests)
    path = tmp_path / "bundle.tar"
    first = archive.write(path, sources, manifest.text(made))
    # The same files give the same archive, whenever it is made.
    (tmp_path / "from" / "wheels/origins.json").touch()
    assert archive.write(path, sources, manifest.text(made)) == first == sha256(path.read_bytes())
    return path


def rewritten(
    path: Path, change: dict[str, bytes | None], extra: dict[str, bytes] | None = None
) -> Path:
    """A bundle with some files changed (None: left out) or added, and the old manifest."""
    out = path.with_name("changed.tar")
    with tarfile.open(path) as old, tarfile.open(out, "w") as new:
        for info in old:
            data = change.get(info.name, old.extractfile(info).read())
            if data is not None:
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
        for name, data in (extra or {}).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            new.addfile(info, io.BytesIO(data))
    return out


def nowhere(_: str) -> IO[bytes] | None:
    return None


def test_whole_bundle_is_read(bundle: Path) -> None:
    found = archive.read(bundle, nowhere)
    assert (found["release"], found["set"]) == (RELEASE["id"], "set")
    with tarfile.open(bundle) as opened:
        sums = opened.extractfile("SHA256SUMS").read().decode()
    assert f"{sha256(b'wheel')}  wheels/a-1-py3-none-any.whl\n" in sums
    assert f"  {manifest.FILE}\n" in sums


def test_changed_file_is_named_with_both_digests(bundle: Path) -> None:
    name = "apt/trixie/InRelease"
    with pytest.raises(BundleError) as error:
        archive.read(rewritten(bundle, {name: b"sighed"}), nowhere)
    for part in (name, sha256(b"signed"), sha256(b"sighed")):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("change", "extra", "message"),
    [
        ({"wheels/origins.json": None}, {}, "1 files .* first is wheels/origins.json"),
        ({}, {"wheels/b-1-py3-none-any.whl": b"x"}, "b-1-py3-none-any.whl is not in its manifest"),
        ({"SHA256SUMS": b"0  x\n"}, {}, "SHA256SUMS is not what"),
        ({"manifest.json": None}, {}, "first file is not manifest.json"),
        ({"manifest.json": b"{"}, {}, "cannot be read"),
        ({"manifest.json": b'{"format": 2}'}, {}, "of format 2, wanted is 1"),
    ],
)
def test_what_does_not_fit_the_manifest_is_refused(
    bundle: Path, change: dict[str, Any], extra: dict[str, bytes], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        archive.read(rewritten(bundle, change, extra), nowhere)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_bundle_that_was_cut_off_is_refused(bundle: Path, share: float) -> None:
    data = bundle.read_bytes()
    # Behind the last file there is only padding.
    end = data.rindex(b"wheel") + 600
    bundle.write_bytes(data[: int(end * share)])
    with pytest.raises(BundleError, match=r"cut off|is no bundle"):
        archive.read(bundle, nowhere)


ITEM = {"sha256": "0" * 64, "size": 1}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "wheels/../../x",
        "apt/../x/y",
        "wheels/.lock",
        "x",
        "wheels/x\n",
        "wheels/a/b",
    ],
)
def test_manifest_does_not_get_to_name_other_places(path: str) -> None:
    text = manifest.text(manifest.made(RELEASE, PACKAGES, {}, {path: ("0" * 64, 1)}))
    with pytest.raises(BundleError, match="no place in a bundle"):
        manifest.parsed(text, "x.tar")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        *(
            ({"release": name}, repr(name))
            for name in (
                *("../../victim", "/etc", "..", ".", "", "a/b", "bundles", ".lock", "a.partial"),
                *("a\n", "-rf", "a" * 300),
            )
        ),
        ({"locks": {"../worker-py3.12": "a" * 64}}, "../worker-py3.12"),
        ({"locks": {"worker-py3.12": "A"}}, "'A'"),
        ({"packages": {"../trixie": {}}}, "../trixie"),
        ({"archives": {"../x": "https://example.org"}}, "../x"),
        ({"files": {"wheels/x": {**ITEM, "size": -1}}}, "'wheels/x' with the size -1"),
        ({"files": {"wheels/x": {**ITEM, "size": "1"}}}, "'wheels/x' with the size '1'"),
        ({"files": {"wheels/x": {**ITEM, "size": True}}}, "'wheels/x' with the size True"),
        ({"files": {"wheels/x": {**ITEM, "sha256": "x"}}}, "'wheels/x' with the sha256 'x'"),
    ],
)
def test_every_name_of_a_manifest_is_looked_at(change: dict[str, Any], named: str) -> None:
    made = manifest.made(RELEASE, PACKAGES, {"b" * 64: "https://example.org/x"}, {})
    manifest.parsed(manifest.text(made), "x.tar")
    with pytest.raises(BundleError) as error:
        manifest.parsed(manifest.text({**made, **change}), "x.tar")
    assert str(error.value).startswith("x.tar: manifest.json names ")
    assert named in str(error.value)


@pytest.mark.parametrize(
    "change", [{"release": 1}, {"release": None}, {"files": []}, {"files": {"wheels/x": 1}}, []]
)
def test_manifest_of_another_shape_cannot_be_read(change: Any) -> None:
    made = manifest.made(RELEASE, PACKAGES, {}, {})
    text = json.dumps({**made, **change} if change else [])
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        manifest.parsed(text, "x.tar")


def test_release_does_not_leave_the_wheelhouse(tmp_path: Path) -> None:
    """As root: the directory that the name leads to is as it was."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("x")
    content = manifest.made({**RELEASE, "id": "../../victim"}, PACKAGES, {}, {})
    path = tmp_path / "bundle.tar"
    archive.write(path, {}, manifest.text(content))
    root = tmp_path / "srv" / "wheelhouse"
    root.mkdir(parents=True)
    with pytest.raises(BundleError, match=r"names the release '\.\./\.\./victim'"):
        unpack.unpack(path, root)
    assert [item.name for item in victim.iterdir()] == ["file"]
    assert not any(root.iterdir())


def test_size_that_is_not_the_manifests_is_refused_before_it_is_written(bundle: Path) -> None:
    opened: list[str] = []
    changed = rewritten(bundle, {"wheels/origins.json": b"{}" * 1000})
    with pytest.raises(BundleError, match=r"wheels/origins\.json has 2000 bytes, .* says 2\."):
        archive.read(changed, opened.append)
    assert "wheels/origins.json" not in opened


def test_bundle_that_was_swapped_after_the_check_is_refused(bundle: Path, tmp_path: Path) -> None:
    root = tmp_path / "house"
    with pytest.raises(BundleError, match="was replaced meanwhile"):
        unpack.unpack(bundle, root, ("0" * 12, RELEASE["id"]))
    assert not root.exists()
    unpack.unpack(bundle, root, (manifest.identity(archive.head(bundle)), RELEASE["id"]))


def test_missing_bundle_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"playbooks/bundle\.yml"):
        archive.head(tmp_path / "none.tar")


def objections(**changes: Any) -> list[str]:
    wanted = {
        "release": RELEASE["id"],
        "locks": RELEASE["locks"],
        "distributions": {"gpu1": "trixie"},
        "archives": ["B" * 64],
    }
    made = manifest.made(RELEASE, PACKAGES, {"b" * 64: "https://example.org/x"}, {})
    return manifest.objections(made, **{**wanted, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"release": "set-other"}, ["set-0123456789", "set-other"]),
        ({"locks": {"worker-py3.12": "c" * 64}}, ["worker-py3.12", "a" * 64, "c" * 64]),
        ({"distributions": {"gpu2": "noble"}}, ["gpu2 runs noble", "for trixie", "group bundle"]),
        ({"archives": ["d" * 64]}, ["d" * 64, "etcd_archive_url"]),
    ],
)
def test_bundle_for_other_hosts_is_refused(changes: dict[str, Any], said: list[str]) -> None:
    found = objections(**changes)
    assert len(found) == bool(said)
    for part in said:
        assert part in found[0]


def test_unpacked_bundle_is_a_release_and_a_bundle(bundle: Path, tmp_path: Path) -> None:
    root = tmp_path / "house"
    content = unpack.unpack(bundle, root)
    identity = manifest.identity(archive.head(bundle))
    assert unpack.is_there(root, identity, content["release"])
    assert (root / RELEASE["id"] / "a-1-py3-none-any.whl").read_bytes() == b"wheel"
    assert (root / "bundles" / identity / "apt/trixie/InRelease").read_bytes() == b"signed"
    assert sorted(path.name for path in root.iterdir()) == ["bundles", RELEASE["id"]]
    (root / "bundles" / "older").mkdir()
    assert unpack.prune(root, identity) == ["older"]


def test_failed_unpacking_leaves_what_was_there(bundle: Path, tmp_path: Path) -> None:
    root = tmp_path / "house"
    with pytest.raises(BundleError):
        unpack.unpack(rewritten(bundle, {"wheels/a-1-py3-none-any.whl": b"x"}), root)
    identity = manifest.identity(archive.head(bundle))
    assert not unpack.is_there(root, identity, RELEASE["id"])
    assert not (root / RELEASE["id"]).exists()
    unpack.unpack(bundle, root)
    assert unpack.is_there(root, identity, RELEASE["id"])


def test_what_apt_says_is_read() -> None:
    line = (
        "'http://deb.debian.org/pool/main/g/gcc/libstdc%2b%2b6_14.2.0-19_amd64.deb' "
        "libstdc++6_14.2.0-19_amd64.deb 713548 SHA256:" + "0" * 64
    )
    epoch = line.replace("6_14", "6_1%3a14").replace("/libstdc%2b%2b6_1%3a14", "/libstdc%2b%2b6_14")
    (package,) = closure.parsed(f"{line}\n")
    assert package.file == "libstdc++6_14.2.0-19_amd64.deb"
    assert (package.name, package.version, package.size) == ("libstdc++6", "14.2.0-19", 713548)
    (package,) = closure.parsed(epoch)
    assert package.file == "libstdc++6_14.2.0-19_amd64.deb"
    assert package.version == "1:14.2.0-19"
    for hidden in ("..%2f..%2fetc%2fcron.d%2fx", "%2e%2e"):
        bad = line.replace("libstdc%2b%2b6_14.2.0-19_amd64.deb'", f"{hidden}'")
        with pytest.raises(ValueError, match="no package's"):
            closure.parsed(bad)
    with pytest.raises(ValueError, match="MD5Sum"):
        closure.parsed(line.replace("SHA256", "MD5Sum"))
