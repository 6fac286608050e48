"""Every bad input of tests/fixtures/bad_inputs.yml, through Ansible's own reading of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))
import fleet

sys.path.append(str(fleet.ROOT / "tests/tools"))
import bad_inputs_table


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> fleet.Site:
    return fleet.Site(tmp_path_factory.mktemp("site"))


def test_the_base_is_good(site: fleet.Site) -> None:
    result = site.judge("base", {})
    assert not result.get("failed"), result["msg"]
    assert result["warnings"] == []


def test_names_are_unique() -> None:
    names = [case["name"] for case in fleet.CASES]
    assert len(names) == len(set(names)) >= 25


@pytest.mark.parametrize("case", fleet.CASES, ids=[case["name"] for case in fleet.CASES])
def test_bad_input(site: fleet.Site, case: dict[str, Any]) -> None:
    result = site.judge("case", case)
    for wanted, seen in (
        (case.get("says", []), fleet.report(result)),
        (case.get("warns", []), result["warnings"]),
    ):
        missing = [part for part in wanted if not any(line.startswith(part) for line in seen)]
        more = [line for line in seen if not any(line.startswith(part) for part in wanted)]
        assert not missing and not more, f"missing {missing}, not expected {more}"


def test_all_at_once(site: fleet.Site) -> None:
    """A report holds every problem, of variables and of groups."""
    picked = [
        case for case in fleet.CASES if "says" in case and set(case) == {"name", "vars", "says"}
    ]
    first: dict[str, Any] = {}
    wanted: list[str] = []
    for case in picked:
        if not set(case["vars"]) & {*first, "dynamo_engine", "dynamo_release_sets", "dynamo_ports"}:
            first.update(case["vars"])
            wanted += [line for line in case["says"] if "no variable of this project" in line]
    result = site.judge("all", {"vars": first, "groups": {"etcd": ["c1", "c2"], "nats": None}})
    seen = fleet.report(result)
    assert len(seen) > 15
    assert str(result["msg"]).startswith(
        f"{len(seen)} problems in the inventory; no host was touched."
    )
    assert all(any(line.startswith(part) for line in seen) for part in wanted)
    assert sum(line.startswith("group etcd: 2 members") for line in seen) == 1
    assert sum(line.startswith("group nats: is not in the inventory") for line in seen) == 1


def test_documentation_is_current(tmp_path: Path) -> None:
    assert bad_inputs_table.DOCUMENT.read_text() == bad_inputs_table.table(tmp_path), (
        "run tests/tools/bad_inputs_table.py"
    )
