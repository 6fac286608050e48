"""What goes from a host and what stays, on real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet import removal


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("etc/a", "srv/models/m/config.json", "srv/wheels/w.whl", "srv/other"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def left(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())


def test_tree_goes_whole(tree: Path) -> None:
    assert removal.remove(tree / "etc") == []
    assert not (tree / "etc").exists()
    assert removal.remove(tree / "etc") == []


def test_what_is_kept_stays_with_the_way_to_it(tree: Path) -> None:
    kept = tree / "srv" / "models"
    assert removal.remove(tree / "srv", [str(kept)]) == [f"{kept} (kept)"]
    assert left(tree) == ["etc/a", "srv/models/m/config.json"]


def test_nothing_to_keep_is_not_everything(tree: Path) -> None:
    """An empty dynamo_model_path names no directory."""
    assert removal.remove(tree / "srv", [""]) == []
    assert left(tree) == ["etc/a"]


def test_mount_point_stays_with_all_that_is_on_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = tree / "srv" / "wheels"
    real = Path.is_mount
    monkeypatch.setattr(Path, "is_mount", lambda path: path == mount or real(path))
    assert removal.remove(tree / "srv") == [f"{mount} (a mount point)"]
    assert left(tree) == ["etc/a", "srv/wheels/w.whl"]
    assert removal.remove(mount) == [f"{mount} (a mount point)"]


def test_link_goes_and_what_it_names_stays(tree: Path) -> None:
    (tree / "link").symlink_to(tree / "srv")
    assert removal.remove(tree / "link") == []
    assert "srv/other" in left(tree)
    assert not (tree / "link").is_symlink()


def test_saying_touches_nothing(tree: Path) -> None:
    before = left(tree)
    assert removal.remove(tree / "srv", [str(tree / "srv/models")], act=False)
    assert left(tree) == before


def test_ssd_tier_goes_and_other_files_of_its_directory_stay(tree: Path) -> None:
    one, two = tree / "nvme0" / "0", tree / "nvme1" / "0"
    for directory in (one, two):
        directory.mkdir(parents=True)
        (directory / "flexkv_ssdcache_0.bin").write_text("x")
    (two / "notes").write_text("x")
    plan = tree / "plan.json"
    workers = [{"ssd_dirs": [str(one), str(two)]}, {"ssd_dirs": [str(tree / "absent")]}]
    plan.write_text(json.dumps({"workers": workers}))
    directories = removal.ssd_directories(str(plan))
    gone = [path for name in directories for path in removal.remove_ssd_files(Path(name))]
    assert [Path(path).parent for path in gone] == [one, two]
    assert not one.exists()
    assert [path.name for path in two.iterdir()] == ["notes"]


def test_no_plan_has_no_ssd_tier(tree: Path) -> None:
    assert removal.ssd_directories(str(tree / "absent")) == []
    (tree / "broken").write_text("{")
    assert removal.ssd_directories(str(tree / "broken")) == []
