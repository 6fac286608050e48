"""Models onto a disk: from real servers and directories, broken off, damaged, changed."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_cases as cases
import pytest
from ansible.module_utils.dynfleet.model import bring, journal, transfer, tree, web
from ansible.module_utils.dynfleet.model.piece import FetchError

PART = 100_000
LOAD = journal.load
TOKEN, OTHER = "t0ken", "wr0ng"
SIZE = sum(map(len, cases.CONTENT.values()))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, short pauses."""
    monkeypatch.setattr(bring.journal, "load", lambda staging, files: LOAD(staging, files, PART))
    monkeypatch.setattr(transfer, "LONGEST_PAUSE", 0.05)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[cases.Served]:
    cases.write(tmp_path / "store" / "org" / "name")
    with cases.serving(tmp_path / "store", tmp_path / "state") as served:
        yield served


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk" / "llama"


def run(path: Path, source: str, **more: Any) -> tuple[list[str], bool]:
    """Bring a model; what was fetched, and whether anything changed."""
    return bring.Bring(cases.wanted(path, source, **more)).apply()


def web_source(store: cases.Served) -> str:
    return f"{store.url}/org/name"


def names(path: Path) -> list[str]:
    return sorted(item.name for item in path.parent.iterdir() if item.name != ".llama.lock")


def test_over_http(path: Path, store: cases.Served) -> None:
    fetched, changed = run(path, web_source(store))
    assert changed and fetched == sorted(cases.CONTENT)
    assert cases.read(path) == cases.CONTENT
    assert names(path) == ["llama", "llama.0a1b2c"]
    assert store.bytes() == SIZE
    for item in (path / "x").parent.resolve().rglob("*"):
        assert item.stat().st_mode & 0o777 == (0o755 if item.is_dir() else 0o644)
    assert run(path, web_source(store)) == ([], False)
    assert store.requests() == []


def test_from_a_directory(path: Path, tmp_path: Path) -> None:
    cases.write(tmp_path / "nfs")
    assert run(path, str(tmp_path / "nfs"))[1]
    assert cases.read(path) == cases.CONTENT


def test_umask_of_root(path: Path, tmp_path: Path) -> None:
    cases.write(tmp_path / "nfs")
    run(path, str(tmp_path / "nfs"))
    assert path.resolve().stat().st_mode & 0o777 == 0o755


def test_answers_that_break_off_are_continued(path: Path, store: cases.Served) -> None:
    store.control(cut=30_000)
    run(path, web_source(store))
    assert cases.read(path) == cases.CONTENT
    assert store.bytes() == SIZE


def test_next_run_goes_on(path: Path, store: cases.Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends in the middle; the next asks for no byte that is there."""
    write = transfer.Transfer._write

    def fail(self: transfer.Transfer, record: Any, part: Any, piece: Any) -> None:
        if part.start >= 300_000:
            raise FetchError("the disk is gone")
        write(self, record, part, piece)

    with monkeypatch.context() as broken:
        broken.setattr(transfer.Transfer, "_write", fail)
        with pytest.raises(FetchError, match="the disk is gone"):
            run(path, web_source(store), jobs=1)
    first = store.bytes()
    assert names(path) == [".llama.0a1b2c.partial"]
    run(path, web_source(store))
    requests = store.requests()
    assert cases.read(path) == cases.CONTENT
    # What the failing run had been sent and did not write comes again: one part.
    assert SIZE <= first + sum(item["bytes"] for item in requests) <= SIZE + 2 * PART
    assert len(requests) < 20


def test_part_of_a_part_is_continued(path: Path, store: cases.Served) -> None:
    """From the byte where the last run ended, on condition that the file is the same."""
    wanted = cases.wanted(path, web_source(store))
    staging = tree.Tree(path, wanted.identity).staging
    begun(staging, cases.CONTENT["weights-2.safetensors"][:40_000], tag(store))
    run(path, web_source(store))
    (request,) = [r for r in store.requests() if r["range"] == "bytes=40000-99999"]
    assert request["if_range"] == tag(store) and request["status"] == 206
    assert cases.read(path) == cases.CONTENT


def tag(store: cases.Served) -> str:
    """The ETag of the largest file."""
    answer = web.Client().get(f"{web_source(store)}/weights-2.safetensors", {"Range": "bytes=0-0"})
    with answer:
        return str(answer.headers["ETag"])


def begun(staging: Path, data: bytes, validator: str) -> None:
    """A staging directory with the beginning of the largest file."""
    staging.mkdir()
    (file,) = [file for file in cases.files() if file.path == "weights-2.safetensors"]
    record = journal.Record(file)
    record.anew(PART)
    for part in record.parts:
        part.done = max(0, min(len(data) - part.start, part.end - part.start))
        part.validator = validator if part.done else ""
    with (staging / file.path).open("wb") as out:
        out.write(data)
        out.truncate(file.size)
    journal.save(staging, [record])


@pytest.mark.parametrize("validator", ["", '"another"'])
def test_beginning_of_another_file_is_given_up(
    path: Path, store: cases.Served, validator: str
) -> None:
    """By its ETag where the source has one, else by the digest: then it comes once more."""
    staging = tree.Tree(path, "0a1b2c").staging
    begun(staging, b"x" * 240_000, validator)
    run(path, web_source(store))
    assert cases.read(path) == cases.CONTENT


def test_what_the_disk_lost_is_fetched_again(path: Path, store: cases.Served) -> None:
    """A journal that says more than the disk has, as after a power cut."""
    staging = tree.Tree(path, "0a1b2c").staging
    begun(staging, bytes(500_000), tag(store))
    run(path, web_source(store))
    assert cases.read(path) == cases.CONTENT


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": {"config.json": 3}}'])
def test_a_journal_that_cannot_be_read_is_none(path: Path, store: cases.Served, text: str) -> None:
    staging = tree.Tree(path, "0a1b2c").staging
    staging.mkdir()
    (staging / journal.NAME).write_text(text)
    run(path, web_source(store))
    assert cases.read(path) == cases.CONTENT


def test_a_source_without_parts(path: Path, store: cases.Served) -> None:
    store.control(ranges=False)
    run(path, web_source(store))
    assert cases.read(path) == cases.CONTENT
    assert store.bytes() == SIZE


def test_a_source_that_lost_its_parts(path: Path, store: cases.Served) -> None:
    """Parts are there from an earlier run, and now only whole files are given."""
    begun(tree.Tree(path, "0a1b2c").staging, cases.CONTENT["weights-2.safetensors"][:240_000], "")
    store.control(ranges=False)
    run(path, web_source(store))
    assert cases.read(path) == cases.CONTENT


def test_wrong_digest_names_both_and_removes_the_file(
    path: Path, store: cases.Served, tmp_path: Path
) -> None:
    data = bytearray(cases.CONTENT["weights-1.safetensors"])
    data[123_456] ^= 1
    (tmp_path / "store/org/name/weights-1.safetensors").write_bytes(data)
    good = next(f.digest for f in cases.files() if f.path == "weights-1.safetensors")
    bad = next(f.digest for f in cases.files({"weights-1.safetensors": bytes(data)}))
    with pytest.raises(transfer.DigestError, match=f"{bad}, wanted is {good}; it was removed"):
        run(path, web_source(store))
    staging = tree.Tree(path, "0a1b2c").staging
    assert not path.exists() and not (staging / "weights-1.safetensors").exists()
    # The store is put right: only what is missing comes.
    cases.write(tmp_path / "store/org/name")
    store.requests()
    run(path, web_source(store))
    assert cases.read(path) == cases.CONTENT
    assert store.bytes() <= SIZE


@pytest.mark.parametrize(
    ("control", "error", "said"),
    [
        ({"refuse": 404}, FetchError, "HTTP 404"),
        ({"refuse": 403}, FetchError, r"may want a token \(model_token\)"),
        ({"refuse": 503}, FetchError, "HTTP 503.*6 attempts brought no byte. Another run goes on"),
    ],
)
def test_refusals(
    path: Path, store: cases.Served, control: Any, error: type[Exception], said: str
) -> None:
    store.control(**control)
    with pytest.raises(error, match=said):
        run(path, web_source(store))
    assert not path.exists()


def test_another_size_at_the_source(path: Path, store: cases.Served, tmp_path: Path) -> None:
    (tmp_path / "store/org/name/config.json").write_bytes(b"{}")
    with pytest.raises(FetchError, match=r"config.json: has 2 bytes, the list of files says 24"):
        run(path, web_source(store))


def test_nobody_there(path: Path) -> None:
    wanted = cases.wanted(path, "http://127.0.0.1:1/x")
    task = bring.Bring(wanted)
    (said,) = task.problems(task.plan())
    assert said.startswith("http://127.0.0.1:1/x/") and "Connection refused" in said


def test_time_limit(path: Path, store: cases.Served) -> None:
    store.control(pace=0.2)
    with pytest.raises(FetchError, match=r"model_timeout.* is over. Another run goes on from here"):
        run(path, web_source(store), timeout=0.3)


def test_hub(path: Path, store: cases.Served) -> None:
    """Against a stand-in of the hub: the list in pages, LFS and Git digests, token, redirect."""
    store.control(token=TOKEN)
    source = f"hf://org/name@{cases.COMMIT}"
    options: dict[str, Any] = {"files": [], "hub": store.url, "exclude": ["sub dir/*"]}
    run(path, source, token=TOKEN, **options)
    content = {name: data for name, data in cases.CONTENT.items() if "sub dir" not in name}
    assert cases.read(path) == content
    requests = store.requests()
    assert {bool(r["token"]) for r in requests if r["path"].startswith("/storage")} == {False}
    assert {r["token"] for r in requests if "/resolve/" in r["path"]} == {f"Bearer {TOKEN}"}
    assert TOKEN not in (path / tree.STAMP).read_text()
    # The list of a commit does not change: not even that is asked for again.
    assert run(path, source, token=TOKEN, **options) == ([], False)
    assert store.requests() == []


def test_hub_without_the_right_token(path: Path, store: cases.Served) -> None:
    store.control(token=TOKEN)
    source = f"hf://org/name@{cases.COMMIT}"
    with pytest.raises(FetchError, match=r"HTTP 401.*token is not good.*model_token") as caught:
        run(path, source, token=OTHER, files=[], hub=store.url)
    assert OTHER not in str(caught.value)


def test_hub_that_sends_another_file(path: Path, store: cases.Served, tmp_path: Path) -> None:
    task = bring.Bring(cases.wanted(path, f"hf://org/name@{cases.COMMIT}", files=[], hub=store.url))
    plan = task.plan()
    task.plan = lambda: plan  # type: ignore[method-assign]
    (tmp_path / "store/org/name/config.json").write_bytes(b'{"model_type": "LLAMA"}\n')
    with pytest.raises(transfer.DigestError, match=r"config.json came with git "):
        task.apply()


def test_damage_is_mended(path: Path, store: cases.Served) -> None:
    """A changed and a missing file are fetched; what is whole is linked, not fetched."""
    run(path, web_source(store))
    store.requests()
    before = (path / "weights-2.safetensors").stat().st_ino
    (path / "config.json").unlink()
    (path / "weights-1.safetensors").write_bytes(bytes(300_000))
    fetched, changed = run(path, web_source(store))
    assert changed and fetched == ["config.json", "weights-1.safetensors"]
    assert cases.read(path) == cases.CONTENT
    assert store.bytes() == 300_000 + len(cases.CONTENT["config.json"])
    assert (path / "weights-2.safetensors").stat().st_ino == before
    assert names(path) == ["llama", "llama.0a1b2c"]


def test_silent_damage_is_found_on_demand(path: Path, store: cases.Served) -> None:
    run(path, web_source(store))
    store.requests()
    assert run(path, web_source(store), verify=True) == ([], False)
    weights = path / "weights-1.safetensors"
    stat = weights.stat()
    weights.write_bytes(bytes(300_000))
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run(path, web_source(store)) == ([], False)
    assert store.requests() == []
    assert run(path, web_source(store), verify=True) == (["weights-1.safetensors"], True)
    assert cases.read(path) == cases.CONTENT
    assert run(path, web_source(store)) == ([], False)


def test_new_revision_links_what_is_the_same(
    path: Path, store: cases.Served, tmp_path: Path
) -> None:
    run(path, web_source(store))
    store.requests()
    content = {**cases.CONTENT, "config.json": b'{"model_type": "qwen"}\n'}
    cases.write(tmp_path / "store/org/name", content)
    new: dict[str, Any] = {"files": cases.files(content), "identity": "3d4e5f"}
    assert run(path, web_source(store), **new) == (["config.json"], True)
    assert store.bytes() == len(content["config.json"])
    assert cases.read(path) == content
    assert cases.read(path.parent / "llama.0a1b2c") == cases.CONTENT
    # Back again: a switch of the link.
    assert run(path, web_source(store)) == ([], True)
    assert cases.read(path) == cases.CONTENT and store.requests() == []


def test_directory_of_the_site_is_taken_over(path: Path, store: cases.Served) -> None:
    content = {**cases.CONTENT, "config.json": b'{"model_type": "mine!"}\n', "note": b"mine"}
    cases.write(path, content)
    assert run(path, web_source(store)) == (["config.json"], True)
    assert cases.read(path) == cases.CONTENT and path.is_symlink()
    (kept,) = path.parent.glob("llama.replaced-*")
    assert cases.read(kept) == content
    assert store.bytes() == len(cases.CONTENT["config.json"])


def test_what_is_no_model_is_left_alone(path: Path, store: cases.Served) -> None:
    (path / "other").mkdir(parents=True)
    with pytest.raises(tree.TreeError, match="holds no model"):
        run(path, web_source(store))
    assert [item.name for item in path.iterdir()] == ["other"]
    assert store.requests() == []


def test_no_room(path: Path, store: cases.Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bring.journal, "load", LOAD)
    files = [*cases.files(), cases.File("huge", 1 << 45, "sha256", "a" * 64)]
    task = bring.Bring(cases.wanted(path, web_source(store), files=files))
    (said,) = task.problems(task.plan())
    assert said.startswith(f"{path}.0a1b2c needs 32768.0 GiB more")
    assert names(path) == []


def test_closed_directory(path: Path, store: cases.Served) -> None:
    path.parent.chmod(0o700)
    with pytest.raises(tree.TreeError, match="may not be entered by the user nobody"):
        bring.Bring(cases.wanted(path, web_source(store), user="nobody")).plan()


def test_two_runs_at_once(path: Path, store: cases.Served) -> None:
    store.control(pace=0.01)
    results: list[tuple[list[str], bool]] = []
    threads = [
        threading.Thread(target=lambda: results.append(run(path, web_source(store))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed for _, changed in results) == [False, True]
    assert store.bytes() == SIZE


def test_never_a_part_of_a_model(path: Path, store: cases.Served) -> None:
    """Who looks while another revision comes sees one of the two, whole."""
    run(path, web_source(store))
    content = {name: data[::-1] for name, data in cases.CONTENT.items()}
    other = path.parent.parent / "store/org/other"
    cases.write(other, content)
    seen: list[dict[str, bytes]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.append(cases.read(path.resolve()))
            time.sleep(0.01)

    watcher = threading.Thread(target=look)
    watcher.start()
    store.control(pace=0.01)
    try:
        run(path, f"{store.url}/org/other", identity="3d4e5f", files=cases.files(content))
    finally:
        ended.set()
        watcher.join()
    assert seen and all(found in (cases.CONTENT, content) for found in seen)


def test_stale_parts_of_other_revisions_go(path: Path, store: cases.Served) -> None:
    stale = path.parent / ".llama.ffffff.partial"
    stale.mkdir()
    run(path, web_source(store))
    assert not stale.exists()


def test_journal_is_progress(path: Path, store: cases.Served) -> None:
    store.control(cut=10_000, refuse=0)
    wanted = cases.wanted(path, web_source(store))
    staging = tree.Tree(path, wanted.identity).staging
    begun(staging, cases.CONTENT["weights-2.safetensors"][:240_000], "")
    content = json.loads((staging / journal.NAME).read_text())
    assert (content["bytes"], content["total"], content["checked"]) == (240_000, 1_000_001, 0)
