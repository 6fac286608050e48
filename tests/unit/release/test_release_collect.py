"""A release's wheels: each by its digest, all of them or none, nothing fetched twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.lock import locked
from ansible.module_utils.dynfleet.wheels import house, origins
from ansible.module_utils.dynfleet.wheels.collect import Wanted
from ansible.module_utils.dynfleet.wheels.names import WheelError
from wheel_index import Index, served, sha256, wheel

RELEASE = "set-0123456789"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    found = Index()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with served(found) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield found


def wanted(locks: dict[str, str], installer: str, builds: tuple[Any, ...] = ()) -> Wanted:
    return Wanted(RELEASE, "set", locks, installer, 28, builds)


def built(place: Path, name: str, version: str = "2.0", tag: str = "py3-none-any") -> Any:
    """The fact of a build role."""
    file = f"{name}-{version}-{tag}.whl"
    place.mkdir(exist_ok=True)
    (place / file).write_bytes(wheel(name, version, "BUILT = True\n", tag))
    return {
        "component": name,
        "digest": "d" * 64,
        "directory": str(place),
        "wheels": [
            {
                "file": file,
                "path": str(place / file),
                "name": name,
                "version": version,
                "sha256": sha256((place / file).read_bytes()),
            }
        ],
        "origin": {"repository": "https://example.org/x.git", "commit": "c0ffee", "patches": []},
    }


def collect(what: Wanted, root: Path) -> dict[str, list[str]]:
    """As the module does it."""
    with locked(root / house.LOCK, 60) as lock:
        return house.collect(what, root, 60, lock)


def files(path: Path) -> list[str]:
    return sorted(item.name for item in path.iterdir())


def test_wheels_locks_and_origins(index: Index, tmp_path: Path) -> None:
    locks = {
        "frontend-py3.11": index.add("aaa")
        + index.add("bbb", tag="cp311-cp311-manylinux2014_x86_64"),
        "worker-py3.12": index.add("aaa")
        + index.add("bbb", tag="cp312-cp312-manylinux_2_28_x86_64"),
    }
    index.add("bbb", tag="cp312-cp312-manylinux_2_39_x86_64")
    before = os.umask(0o022)
    try:
        done = collect(wanted(locks, index.add("uv")), tmp_path)
    finally:
        os.umask(before)
    assert sorted(index.fetched) == done["loaded"]
    assert files(tmp_path) == [house.LOCK, RELEASE]
    assert files(tmp_path / RELEASE) == [
        "aaa-1.0-py3-none-any.whl",
        "bbb-1.0-cp311-cp311-manylinux2014_x86_64.whl",
        "bbb-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "frontend-py3.11.txt",
        "origins.json",
        "uv-1.0-py3-none-any.whl",
        "worker-py3.12.txt",
    ]
    record = json.loads((tmp_path / RELEASE / "origins.json").read_text())
    # Without builds, the digests are those of the base lock files.
    assert record["locks"] == {name: sha256(text.encode()) for name, text in locks.items()}
    assert (record["id"], record["set"]) == (RELEASE, "set")
    assert {item["origin"] for item in record["wheels"].values()} == {"index"}
    for name, item in record["wheels"].items():
        content = (tmp_path / RELEASE / name).read_bytes()
        assert (item["sha256"], item["size"]) == (sha256(content), len(content))
    for path in (tmp_path / RELEASE).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_other_digest_stops_with_both_and_nothing_of_it_is_left(
    index: Index, tmp_path: Path
) -> None:
    pins = index.add("aaa") + index.add("bbb")
    file = "bbb-1.0-py3-none-any.whl"
    good = sha256(index.files[file])
    index.said[file] = good
    index.files[file] = wheel("bbb", "1.0", "import os  # another\n")
    with pytest.raises(WheelError) as error:
        collect(wanted({"worker-py3.12": pins}, index.add("uv")), tmp_path)
    assert f"{index.url}/files/{file}" in str(error.value)
    assert good in str(error.value)
    assert sha256(index.files[file]) in str(error.value)
    assert files(tmp_path) == [house.LOCK, f"{RELEASE}.partial"]
    assert file not in files(tmp_path / f"{RELEASE}.partial")


def test_download_that_breaks_off_is_not_called_another_file(index: Index, tmp_path: Path) -> None:
    pins = index.add("aaa") + index.add("bbb", body="x = 1\n" * 1000)
    file = "bbb-1.0-py3-none-any.whl"
    index.cut.add(file)
    with pytest.raises(WheelError) as error:
        collect(wanted({"worker-py3.12": pins}, index.add("uv")), tmp_path)
    said = str(error.value)
    assert f"{index.url}/files/{file}" in said or "bbb" in said
    assert "the connection breaks off on the way" in said
    assert "run this again" in said
    assert "Somebody changed it" not in said
    assert file not in files(tmp_path / f"{RELEASE}.partial")
    index.cut.clear()
    collect(wanted({"worker-py3.12": pins}, index.add("uv")), tmp_path)
    assert file in files(tmp_path / RELEASE)


def test_failed_run_is_resumed_and_nothing_is_fetched_again(index: Index, tmp_path: Path) -> None:
    # More than one call of pip; the last package is not to be had.
    names = [f"p{number:02}" for number in range(20)]
    pins = "".join(index.add(name) for name in names)
    index.broken = {"p19-1.0-py3-none-any.whl"}
    what = wanted({"worker-py3.12": pins}, index.add("uv"))
    with pytest.raises(WheelError, match="404"):
        collect(what, tmp_path)
    partial = tmp_path / f"{RELEASE}.partial"
    kept = [name for name in files(partial) if name.endswith(".whl")]
    assert 0 < len(kept) < 20
    # A kill can leave half a file: it is not taken for a whole one.
    (partial / kept[0]).write_bytes(b"half")
    index.broken, index.fetched = set(), []
    done = collect(what, tmp_path)
    assert set(index.fetched).isdisjoint(kept[1:])
    assert kept[0] in index.fetched
    assert done["reused"] == kept[1:]
    assert files(tmp_path) == [house.LOCK, RELEASE]


def test_killed_run_is_resumed(index: Index, tmp_path: Path) -> None:
    pins = "".join(index.add(f"p{number:02}") for number in range(12))
    what = wanted({"worker-py3.12": pins}, index.add("uv"))
    # The last package keeps the second call of pip busy; the first one ends.
    last = "p11-1.0-py3-none-any.whl"
    index.held = {last}
    process = multiprocessing.get_context("fork").Process(target=collect, args=(what, tmp_path))
    process.start()
    partial = tmp_path / f"{RELEASE}.partial"
    deadline = time.monotonic() + 60
    while not any(partial.glob("*.whl")) or last not in index.fetched:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.join()
    # pip outlives its parent: the next run waits for it, and has what it loaded.
    index.held = set()
    index.go.set()
    before = list(index.fetched)
    done = collect(what, tmp_path)
    assert index.fetched == before
    assert len(done["reused"]) == 13
    assert files(tmp_path) == [house.LOCK, RELEASE]


def test_other_release_lends_its_files(index: Index, tmp_path: Path) -> None:
    locks = {"worker-py3.12": index.add("aaa") + index.add("bbb")}
    installer = index.add("uv")
    collect(wanted(locks, installer), tmp_path)
    (tmp_path / RELEASE).rename(tmp_path / "set-old")
    index.fetched = []
    locks["worker-py3.12"] = index.add("aaa") + index.add("ccc")
    done = collect(wanted(locks, installer), tmp_path)
    assert index.fetched == ["ccc-1.0-py3-none-any.whl"]
    assert "bbb-1.0-py3-none-any.whl" not in files(tmp_path / RELEASE)
    assert len(done["reused"]) == 2


def test_built_wheel_takes_the_place_of_the_index_one(index: Index, tmp_path: Path) -> None:
    pins = index.add("aaa") + index.add("ai_dynamo", "1.0")
    build = built(tmp_path / "build", "ai_dynamo")
    build["wheels"][0]["name"] = "Ai.Dynamo"
    collect(wanted({"worker-py3.12": pins}, index.add("uv"), (build,)), tmp_path / "house")
    release = tmp_path / "house" / RELEASE
    digest = build["wheels"][0]["sha256"]
    text = (release / "worker-py3.12.txt").read_text()
    assert text == (
        f"{pins.partition('ai_dynamo')[0]}Ai.Dynamo==2.0 \\\n    --hash=sha256:{digest}\n"
    )
    record = json.loads((release / origins.FILE).read_text())
    assert record["locks"] == {"worker-py3.12": sha256(text.encode())}
    assert record["wheels"]["ai_dynamo-2.0-py3-none-any.whl"]["origin"] == {
        "repository": "https://example.org/x.git",
        "commit": "c0ffee",
        "patches": [],
        "component": "ai_dynamo",
        "build": "d" * 64,
    }
    assert "ai_dynamo-1.0-py3-none-any.whl" not in record["wheels"]
    assert index.fetched.count("ai_dynamo-1.0-py3-none-any.whl") == 0


def test_python_that_a_built_wheel_does_not_fit_gets_no_lock(index: Index, tmp_path: Path) -> None:
    locks = {"worker-py3.12": index.add("aaa"), "worker-py3.13": index.add("aaa")}
    build = built(tmp_path / "build", "flexkv", tag="cp312-cp312-linux_x86_64")
    collect(wanted(locks, index.add("uv"), (build,)), tmp_path / "house")
    found = [name for name in files(tmp_path / "house" / RELEASE) if name.endswith(".txt")]
    assert found == ["worker-py3.12.txt"]
    build = built(tmp_path / "build", "flexkv", tag="cp310-cp310-linux_x86_64")
    with pytest.raises(WheelError, match=r"none of the release set's Pythons \(3\.12, 3\.13\)"):
        collect(wanted(locks, index.add("uv"), (build,)), tmp_path / "other")


def test_frontends_do_not_get_what_was_built_for_workers(index: Index, tmp_path: Path) -> None:
    frontend = index.add("ai_dynamo", "1.5")
    locks = {"frontend-py3.13": frontend, "worker-py3.12": index.add("ai_dynamo", "1.0")}
    build = built(tmp_path / "build", "ai_dynamo", tag="cp312-cp312-linux_x86_64")
    collect(wanted(locks, index.add("uv"), (build,)), tmp_path / "house")
    release = tmp_path / "house" / RELEASE
    assert (release / "frontend-py3.13.txt").read_text() == frontend
    assert "ai_dynamo==2.0" in (release / "worker-py3.12.txt").read_text()
    assert [name for name in files(release) if name.startswith("ai_dynamo")] == [
        "ai_dynamo-1.5-py3-none-any.whl",
        "ai_dynamo-2.0-cp312-cp312-linux_x86_64.whl",
    ]


def test_frontends_of_the_same_version_get_what_was_built(index: Index, tmp_path: Path) -> None:
    pins = index.add("aaa") + index.add("ai_dynamo", "2.0")
    locks = {"frontend-py3.12": pins, "worker-py3.12": pins}
    builds = (built(tmp_path / "build", "ai_dynamo"), built(tmp_path / "build", "flexkv"))
    collect(wanted(locks, index.add("uv"), builds), tmp_path / "house")
    release = tmp_path / "house" / RELEASE
    digest = builds[0]["wheels"][0]["sha256"]
    for part in ("frontend", "worker"):
        assert digest in (release / f"{part}-py3.12.txt").read_text()
    assert "flexkv" not in (release / "frontend-py3.12.txt").read_text()
    assert sha256((release / "ai_dynamo-2.0-py3-none-any.whl").read_bytes()) == digest


def test_built_wheel_does_not_write_into_another_release(index: Index, tmp_path: Path) -> None:
    house_of = tmp_path / "house"
    locks = {"worker-py3.12": index.add("ai_dynamo", "2.0")}
    installer = index.add("uv")
    collect(wanted(locks, installer), house_of)
    (house_of / RELEASE).rename(house_of / "set-old")
    old = house_of / "set-old" / "ai_dynamo-2.0-py3-none-any.whl"
    before = old.read_bytes()
    # As a killed run leaves it: the other release's file, under the name of what was built.
    (house_of / f"{RELEASE}.partial").mkdir()
    os.link(old, house_of / f"{RELEASE}.partial" / old.name)
    build = built(tmp_path / "build", "ai_dynamo")
    build["wheels"][0]["sha256"] = sha256(Path(build["wheels"][0]["path"]).read_bytes())
    collect(wanted(locks, installer, (build,)), house_of)
    assert old.read_bytes() == before
    assert (house_of / RELEASE / old.name).read_bytes() != before


def test_built_wheel_that_changed_is_refused_with_both_digests(
    index: Index, tmp_path: Path
) -> None:
    build = built(tmp_path / "build", "flexkv")
    path = Path(build["wheels"][0]["path"])
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WheelError) as error:
        collect(
            wanted({"worker-py3.12": index.add("aaa")}, index.add("uv"), (build,)),
            tmp_path / "house",
        )
    assert sha256(path.read_bytes()) in str(error.value)
    assert build["wheels"][0]["sha256"] in str(error.value)
    assert path.name not in files(tmp_path / "house" / f"{RELEASE}.partial")
    assert not (tmp_path / "house" / RELEASE).exists()


def test_package_that_no_host_could_use_is_named(index: Index, tmp_path: Path) -> None:
    pins = index.add("bbb", tag="cp312-cp312-manylinux_2_39_x86_64")
    with pytest.raises(WheelError, match=r"bbb==1\.0"):
        collect(wanted({"worker-py3.12": pins}, index.add("uv")), tmp_path)


def test_only_some_releases_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "wanted", "old", "older", "half.partial")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a-1-py3-none-any.whl").touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "not-ours").mkdir()
    (tmp_path / "wanted.partial").mkdir()
    assert house.prune(tmp_path, "wanted", 2) == ["old", "older", "half.partial"]
    assert files(tmp_path) == ["new", "not-ours", "wanted", "wanted.partial"]
    assert house.prune(tmp_path, "wanted", 0) == ["new"]
