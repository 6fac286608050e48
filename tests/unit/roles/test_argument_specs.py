"""Every role says what it takes, and says what its defaults say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ALL = sorted(path for path in (Path(__file__).parents[3] / "roles").iterdir() if path.is_dir())
# A role that takes nothing needs no specification, which would cost a task on every host.
ROLES = [path for path in ALL if (path / "defaults" / "main.yml").exists()]
KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "dict": (dict,),
    "float": (int, float),
    "int": (int,),
    "list": (list,),
    "path": (str,),
    "str": (str,),
}


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def is_template(value: object) -> bool:
    return isinstance(value, str) and "{{" in value


@pytest.fixture(params=ROLES, ids=lambda path: path.name)
def role(request: pytest.FixtureRequest) -> Path:
    return request.param


def options(role: Path) -> dict[str, dict[str, Any]]:
    return read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]


def test_there_are_roles() -> None:
    assert {path.name for path in ROLES} >= {"etcd", "frontend", "nats", "release", "worker"}


def test_every_default_is_described_and_every_option_has_one(role: Path) -> None:
    defaults = read(role / "defaults" / "main.yml")
    described = {name for name, option in options(role).items() if not option.get("required")}
    assert described <= set(defaults)
    assert set(defaults) <= set(options(role))


def test_defaults_are_the_same(role: Path) -> None:
    # A default that is a template is told in words.
    literal = {
        name: value
        for name, value in read(role / "defaults" / "main.yml").items()
        if not is_template(value)
    }
    assert {
        name: option["default"] for name, option in options(role).items() if "default" in option
    } == literal


def test_types_fit_the_defaults(role: Path) -> None:
    for name, option in options(role).items():
        assert option["description"], name
        if "default" not in option:
            continue
        value = option["default"]
        assert isinstance(value, KINDS[option["type"]]), name
        assert not isinstance(value, bool) or option["type"] == "bool", name
        assert value in option.get("choices", [value]), name
        assert option["type"] != "list" or "elements" in option, name


def test_names_begin_with_the_roles(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", ALL, ids=lambda path: path.name)
def test_role_says_what_it_is(role: Path) -> None:
    info = read(role / "meta" / "main.yml")["galaxy_info"]
    assert info["role_name"] == role.name
    assert info["description"]
