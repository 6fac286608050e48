"""Wheels: those that were expected, named after their content, for this Python."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.build import wheels
from ansible.module_utils.dynfleet.build.errors import BuildError


def wheel(place: Path, file: str, metadata: str = "Name: Some.Thing\nVersion: 1.2+g34\n") -> Path:
    """A wheel with nothing but metadata."""
    with zipfile.ZipFile(place / file, "w") as out:
        out.writestr(f"{file.split('-', maxsplit=1)[0]}-x.dist-info/METADATA", metadata)
    return place / file


GOOD = "some_thing-1.2+g34-cp313-cp313-linux_x86_64.whl"


def test_a_wheel_is_what_its_metadata_says(tmp_path: Path) -> None:
    path = wheel(tmp_path, GOOD)
    found = wheels.inspect(tmp_path, ["some_thing-*.whl"], "3.13")
    assert [(item.name, item.version, item.path) for item in found] == [
        ("Some.Thing", "1.2+g34", str(path))
    ]
    assert wheels.intact(found)
    path.write_bytes(path.read_bytes()[:-1])
    assert not wheels.intact(found)
    path.unlink()
    assert not wheels.intact(found)


@pytest.mark.parametrize(
    ("file", "expected", "said"),
    [
        (GOOD, ["some_thing-*", "other-*.whl"], f"no wheel other-.* was made; there is {GOOD[:9]}"),
        (GOOD, [], f"{GOOD[:9]}.* was made, expected is only"),
        ("some_thing-1.3-py3-none-any.whl", ["*"], "holds Some.Thing 1.2.g34: a wheel that was"),
        ("other-1.2+g34-py3-none-any.whl", ["*"], "a wheel that was renamed"),
        ("some_thing-1.2+g34-cp312-cp312-linux_x86_64.whl", ["*"], "is not for Python 3.13"),
    ],
)
def test_what_is_not_is_named(tmp_path: Path, file: str, expected: list[str], said: str) -> None:
    wheel(tmp_path, file)
    with pytest.raises(BuildError, match=said.replace("+", ".")):
        wheels.inspect(tmp_path, expected, "3.13")


def test_half_a_wheel_is_none(tmp_path: Path) -> None:
    (tmp_path / GOOD).write_bytes(b"PK\x03\x04")
    with pytest.raises(BuildError, match="cannot be read"):
        wheels.inspect(tmp_path, ["*"], "3.13")
    wheel(tmp_path, GOOD, "Name: x\n")
    with pytest.raises(BuildError, match="no METADATA with a name and a version"):
        wheels.inspect(tmp_path, ["*"], "3.13")


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp310-abi3-manylinux_2_28_x86_64.whl", True),
        ("a-1-1-cp313-cp313-linux_x86_64.whl", True),
        ("a-1-cp31-cp31-linux_x86_64.whl", False),
        ("a.whl", False),
    ],
)
def test_tags(file: str, fits: bool) -> None:
    assert wheels.fits(file, "3.13") is fits
