"""What goes from a host and what stays, on real files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from ansible.module_utils.dynfleet import removal, unit_names
from ansible.module_utils.dynfleet.removal import Outcome
from planted import Place

Bind = Callable[[Path, Path], None]


@pytest.fixture
def bind() -> Iterator[Bind]:
    """Mount a directory on another one."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    made: list[Path] = []

    def mount(there: Path, here: Path) -> None:
        subprocess.run(["mount", "--bind", there, here], check=True)
        made.append(here)

    yield mount
    for here in reversed(made):
        subprocess.run(["umount", here], check=True)


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
    assert removal.remove(tree / "etc") == Outcome([str(tree / "etc")])
    assert not (tree / "etc").exists()
    assert removal.remove(tree / "etc") == Outcome()


def test_what_is_kept_stays_with_the_way_to_it(tree: Path) -> None:
    kept = tree / "srv" / "models"
    said = removal.remove(tree / "srv", [str(kept)], act=False)
    assert said == Outcome([f"{tree}/srv/other", f"{tree}/srv/wheels"], [f"{kept} (kept)"])
    assert removal.remove(tree / "srv", [str(kept)]) == said
    assert left(tree) == ["etc/a", "srv/models/m/config.json"]


def test_nothing_to_keep_is_not_everything(tree: Path) -> None:
    """An empty dynamo_model_path names no directory."""
    assert removal.remove(tree / "srv", [""]).left == []
    assert left(tree) == ["etc/a"]


def test_mount_point_stays_with_all_that_is_on_it(tree: Path, bind: Bind) -> None:
    """Also one from the same file system, which no device number tells."""
    (tree / "home" / "user").mkdir(parents=True)
    (tree / "home" / "user" / "thesis").write_text("x")
    mount = tree / "srv" / "wheels"
    bind(tree / "home", mount)
    assert removal.remove(tree / "srv").left == [f"{mount} (a mount point)"]
    assert left(tree / "home") == ["user/thesis"]
    assert removal.remove(mount).left == [f"{mount} (a mount point)"]


def test_link_goes_and_what_it_names_stays(tree: Path) -> None:
    link = tree / "link"
    link.symlink_to(tree / "srv")
    said = f"{tree}/srv (only the link {link} to it was removed)"
    assert removal.remove(link) == Outcome([str(link)], [said])
    assert "srv/other" in left(tree)
    assert not link.is_symlink()


MODEL = "srv/models/m/config.json"


@pytest.mark.parametrize(
    "kept",
    ["models", "models/", "srv/../models", "./models/m", "up/srv/models", "srv/models", "srv/x/m"],
)
def test_what_is_kept_is_found_however_it_is_written(tree: Path, kept: str) -> None:
    """/models -> /srv/dynamo/models is the model that was deleted."""
    (tree / "models").symlink_to("srv/models")
    (tree / "up").symlink_to(tree)
    (tree / "srv" / "x").symlink_to("models")
    removal.remove(tree / "srv", [f"{tree}/{kept}"])
    assert left(tree) == ["etc/a", MODEL]
    assert (tree / kept).is_dir(), "the name that it is kept by leads nowhere"


@pytest.mark.parametrize("removed", ["srv", "data/../srv", "data/link"])
def test_what_is_removed_is_found_however_it_is_written(tree: Path, removed: str) -> None:
    (tree / "data").mkdir()
    (tree / "data" / "link").symlink_to(tree)
    path = tree / (removed if removed != "data/link" else "data/link/srv")
    removal.remove(path, [str(tree / "srv" / "models")])
    assert left(tree) == ["etc/a", MODEL]


def test_bind_mount_is_what_it_shows(tree: Path, bind: Bind) -> None:
    (tree / "models").mkdir()
    bind(tree / "srv" / "models", tree / "models")
    kept = str(tree / "models" / "m")
    assert removal.remove(tree / "srv", [kept]).left == [f"{tree}/srv/models/m (kept)"]
    assert MODEL in left(tree)


def test_removed_path_may_be_in_what_is_kept(tree: Path, bind: Bind) -> None:
    (tree / "all").symlink_to(tree / "srv")
    (tree / "seen").mkdir()
    bind(tree / "srv", tree / "seen")
    for kept in (tree / "srv", tree / "all", tree / "srv" / "models", tree / "seen"):
        said = removal.remove(tree / "srv" / "models", [str(kept)])
        assert said == Outcome(left=[f"{tree}/srv/models (kept)"])
    said = removal.remove(tree / "seen" / "models", [str(tree / "srv")])
    assert said == Outcome(left=[f"{tree}/seen/models (kept)"])
    assert MODEL in left(tree)


def test_name_that_only_begins_like_a_kept_one_goes(tree: Path) -> None:
    (tree / "srv" / "models-old").mkdir()
    removal.remove(tree / "srv", [str(tree / "srv" / "models")])
    assert sorted(path.name for path in (tree / "srv").iterdir()) == ["models"]


def test_model_stays_with_its_revisions(tree: Path) -> None:
    """A model is a link to one of the directories beside it."""
    models = tree / "srv" / "models"
    for name in ("llama.0123", "llama.4567", "llama.replaced-20260101T000000", "qwen.89ab"):
        (models / name).mkdir()
        (models / name / "config.json").write_text(name)
    (models / "llama").symlink_to("llama.0123")
    keep = removal.with_revisions(str(models / "llama"))
    removal.remove(tree / "srv", keep)
    assert sorted(path.name for path in models.iterdir()) == [
        *("llama", "llama.0123", "llama.4567", "llama.replaced-20260101T000000")
    ]
    assert (models / "llama" / "config.json").read_text() == "llama.0123"
    assert removal.with_revisions("") == []


def test_planted_links_lead_nowhere(place: Place) -> None:
    """In the state directory of a worker, and in place of its SSD directory."""
    place.link("home", place.folder)
    (place.folder / "flexkv_ssdcache_0.bin").write_text("x")
    ssd = place.link("ssd", place.folder)
    for act in (False, True):
        said = removal.remove_ssd_files(ssd, act)
        assert said.gone == []
        assert str(ssd) in said.left[0]
    below = removal.remove(ssd / "x")
    assert below.gone == []
    assert str(ssd) in below.left[0]
    removal.remove(place.own)
    assert not place.own.exists()
    (place.folder / "flexkv_ssdcache_0.bin").unlink()


def test_only_our_units_files_go(tmp_path: Path) -> None:
    ours = (
        *("dynamo.target", "dynamo-etcd.service", "dynamo-worker@.service"),
        *("dynamo-frontend.service.d", "dynamo-worker@12.service.d"),
    )
    theirs = (
        *("dynamodb-local.service", "dynamo-backup.service", "dynamo-backup.timer"),
        *("dynamo-worker@x.service.d", "dynamo-.service.d", "dynamo-etcd-backup.service"),
        *("dynamodb.service.d", "dynamo-worker@1-old.service.d"),
    )
    for name in (*ours, *theirs):
        (tmp_path / name).mkdir() if name.endswith(".d") else (tmp_path / name).write_text("")
    wants = tmp_path / "dynamo.target.wants"
    wants.mkdir()
    (wants / "dynamo-etcd.service").symlink_to("../dynamo-etcd.service")
    found = [Path(path).name for path in removal.unit_files(str(tmp_path))]
    assert found == sorted((*ours, "dynamo.target.wants"))
    (wants / "dynamo-backup.service").symlink_to("../dynamo-backup.service")
    links = [path for path in removal.unit_files(str(tmp_path)) if "wants" in path]
    assert links == [str(wants / "dynamo-etcd.service")]


def test_the_list_of_units_is_what_roles_install() -> None:
    roles = Path(__file__).resolve().parents[3] / "roles"
    installed = {path.stem for path in roles.glob("*/templates/dynamo*.j2")}
    assert installed == {*unit_names.NAMES, *unit_names.TEMPLATES}


def test_saying_touches_nothing(tree: Path) -> None:
    before = left(tree)
    assert removal.remove(tree / "srv", [str(tree / "srv/models")], act=False).gone
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
    gone = [path for name in directories for path in removal.remove_ssd_files(Path(name)).gone]
    assert gone == [f"{one}/flexkv_ssdcache_0.bin", str(one), f"{two}/flexkv_ssdcache_0.bin"]
    assert not one.exists()
    assert [path.name for path in two.iterdir()] == ["notes"]


def test_no_plan_has_no_ssd_tier(tree: Path) -> None:
    assert removal.ssd_directories(str(tree / "absent")) == []
    (tree / "broken").write_text("{")
    assert removal.ssd_directories(str(tree / "broken")) == []


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("dynamo.target", True),
        ("dynamo-worker@0.service", True),
        ("dynamo-worker@17.service", True),
        ("dynamo-worker@.service", False),  # a template is not a unit
        ("dynamo-worker@a.service", False),
        ("dynamo-worker@0.timer", False),
        ("dynamodb-local.service", False),
        ("dynamo-backup.service", False),
        ("dynamo-etcd.timer", False),
        ("dynamo-etcd-backup.service", False),
        ("my-dynamo-etcd.service", False),
    ],
)
def test_only_what_we_install_is_ours(name: str, ours: bool) -> None:
    assert unit_names.is_unit(name) is ours
