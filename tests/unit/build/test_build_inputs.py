"""What names a build: everything that decides it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.dynfleet.build.errors import BuildError
from ansible.module_utils.dynfleet.build.inputs import (
    Archive,
    Patch,
    Step,
    check_repository,
    fill,
)
from build_cases import inputs

COMMIT = "0123456789" * 4
BASE = inputs("https://example.org/a.git", COMMIT)


@pytest.mark.parametrize(
    "change",
    [
        {"commit": "1" * 40},
        {"python": "3.99"},
        {"submodules": True},
        {"patches": (Patch("a.patch", "x"),)},
        {"archives": (Archive("a", "https://example.org/a", "0" * 64),)},
        {"files": {"a.py": "x"}},
        {"lock": "a==1 --hash=sha256:00"},
        {"toolchain": {"rust": "1.96.1"}},
        {"salt": "again"},
        {"expected": ["other-*.whl"]},
        {"steps": [Step("pack", ["true"])]},
        {"steps": [replace(BASE.steps[0], env={"FLAG": "1"})]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_result_is_in_the_digest(change: dict[str, Any]) -> None:
    assert replace(BASE, **change).digest() != BASE.digest()


def test_what_does_not_is_not() -> None:
    same = replace(BASE, repository="ssh://git@mirror.example.org/a.git", tag="v1")
    assert same.digest() == BASE.digest()
    one = replace(BASE, archives=(Archive("a", "https://one.example.org/a", "0" * 64),))
    two = replace(BASE, archives=(Archive("a", "https://two.example.org/a", "0" * 64),))
    assert one.digest() == two.digest()


def test_stages_are_those_that_there_is_work_for() -> None:
    assert BASE.stages() == ["fetch", "checkout", "pack", "wheels"]
    more = replace(BASE, patches=(Patch("a", "x"),), lock="a==1")
    assert more.stages() == ["fetch", "checkout", "patches", "environment", "pack", "wheels"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"component": "../a"}, "no name of a component"),
        ({"commit": "main"}, "wanted are 40 hexadecimal digits"),
        ({"commit": COMMIT.replace("a", "A")[:-1] + "A"}, "wanted are 40 hexadecimal digits"),
        ({"steps": [Step("fetch", ["true"])]}, "two stages are named fetch"),
        ({"steps": [Step("a b", ["true"])]}, "'a b' is no plain name"),
        ({"files": {"../a": ""}}, "'../a' is no plain name"),
        ({"patches": (Patch("a/b", ""),)}, "'a/b' is no plain name"),
        ({"archives": (Archive("a", "https://example.org", "12"),)}, "sha256 of a is '12'"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        replace(BASE, **change).check()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.git",
        "ssh://git@example.org/a.git",
        "git@example.org:a/b.git",
        "git@[fd00:6::77]:a/b.git",
        "file:///srv/git/a.git",
        "/srv/git/a.git",
    ],
)
def test_addresses_that_git_takes(url: str) -> None:
    check_repository(url)


@pytest.mark.parametrize(
    "url", ["https://me:secret@example.org/a", "https://secret@example.org/a", "ssh://a:secret@b/c"]
)
def test_a_secret_in_an_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(BuildError, match="git_token") as error:
        check_repository(url)
    assert "secret" not in str(error.value)


def test_places_are_filled_in() -> None:
    assert fill("--out={wheels}/{commit}", {"wheels": "/w", "commit": "c"}) == "--out=/w/c"
    with pytest.raises(BuildError, match=r"names the place \{wheel\}; there are wheels"):
        fill("{wheel}", {"wheels": "/w"})
