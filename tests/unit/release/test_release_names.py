"""Names of wheels and lock files: what fits where, and what a lock may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.wheels import lock, names, pip
from ansible.module_utils.dynfleet.wheels.names import WheelError

LOCKS = Path(__file__).parents[3] / "roles" / "wheelhouse" / "files" / "locks"


@pytest.mark.parametrize(
    ("file", "fits", "not_fits"),
    [
        ("idna-3.20-py3-none-any.whl", ["3.9", "3.13"], []),
        ("kubernetes-32.0.1-py2.py3-none-any.whl", ["3.12"], []),
        ("a-1-py311-none-any.whl", ["3.11", "3.12"], ["3.10"]),
        ("a-1-py2-none-any.whl", [], ["3.12"]),
        ("pyzmq-27.3.0-cp312-abi3-manylinux_2_26_x86_64.whl", ["3.12", "3.13"], ["3.11"]),
        ("numpy-2.5.5-cp312-cp312-manylinux_2_27_x86_64.whl", ["3.12"], ["3.11", "3.13"]),
        ("numpy-2.5.5-cp313-cp313t-manylinux_2_27_x86_64.whl", [], ["3.13"]),
        ("a-1-7-cp310.cp311-abi3.none-linux_x86_64.whl", ["3.10", "3.12"], ["3.9"]),
    ],
)
def test_wheel_fits_a_python(file: str, fits: list[str], not_fits: list[str]) -> None:
    wheel = names.parsed(file)
    assert [p for p in fits if names.fits_python(wheel, p)] == fits
    assert [p for p in not_fits if names.fits_python(wheel, p)] == []


@pytest.mark.parametrize(
    ("platform", "oldest"),
    [
        ("manylinux2014_x86_64.manylinux_2_17_x86_64", 17),
        ("manylinux_2_27_x86_64.manylinux_2_28_x86_64", 27),
        ("manylinux1_x86_64", 5),
        ("linux_x86_64", 0),
        ("any", 0),
    ],
)
def test_wheel_fits_a_glibc(platform: str, oldest: int) -> None:
    wheel = names.parsed(f"a-1-py3-none-{platform}.whl")
    assert next(glibc for glibc in range(40) if names.fits_platform(wheel, glibc)) == oldest


@pytest.mark.parametrize("platform", ["win_amd64", "macosx_11_0_arm64", "manylinux2014_aarch64"])
def test_wheel_of_another_platform_fits_none(platform: str) -> None:
    assert not names.fits_platform(names.parsed(f"a-1-py3-none-{platform}.whl"), 99)


@pytest.mark.parametrize("file", ["a.whl", "a-1.tar.gz", "a-1-py3-none-any.whl.part"])
def test_what_is_no_wheel_is_refused(file: str) -> None:
    with pytest.raises(WheelError, match=file):
        names.parsed(file)


@pytest.mark.parametrize("path", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.name)
def test_lock_files_of_the_project_are_read_whole(path: Path) -> None:
    text = path.read_text()
    entries = lock.parsed(text)
    assert len(entries) == text.count("==")
    assert sum(len(entry.hashes) for entry in entries) == text.count("--hash=sha256:")
    assert "".join(entry.text for entry in entries) == text
    assert lock.composed(text, []) == text


@pytest.mark.parametrize(
    "line", ["idna", "idna==3.20", "idna>=3 --hash=sha256:" + "0" * 64, "-r x"]
)
def test_lock_without_a_digest_is_refused(line: str) -> None:
    with pytest.raises(WheelError, match=line.split(maxsplit=1)[0]):
        lock.parsed(f"# comment\n\n{line}\n")


def test_batches_part_neighbours() -> None:
    entries = [lock.Entry(f"p{number}", "1", frozenset(), "") for number in range(20)]
    found = pip.batches(entries)
    assert [len(batch) for batch in found] == [7, 7, 6]
    assert sorted(entry.name for batch in found for entry in batch) == sorted(
        entry.name for entry in entries
    )
    assert [entry.name for entry in found[0][:2]] == ["p0", "p3"]
    assert pip.batches([]) == []
