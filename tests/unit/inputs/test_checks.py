"""The checks' parts, over plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.dynfleet.inputs import (
    addresses,
    catalogue,
    checks,
    kinds,
    names,
    report,
    served,
    versions,
)
from ansible.module_utils.dynfleet.inputs.model import GROUPS, Fleet, Host, Problem, show

ROOT = Path(__file__).resolve().parents[3]


def read(pattern: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(ROOT.glob(pattern)):
        found.update(yaml.safe_load(path.read_text()))
    return found


GROUP_VARS = read("group_vars/all/*.yml")
CATALOGUE = catalogue.build(GROUP_VARS, read("roles/*/defaults/main.yml"))
LITERALS = {k: v for k, v in GROUP_VARS.items() if not catalogue.is_template(v)}


def fleet(**variables: Any) -> Fleet:
    """One host that is everything, with the project's literal values and these."""
    values = {
        **LITERALS,
        "dynamo_model_path": "/srv/m",
        "dynamo_model_name": "m",
        "dynamo_release_set": "dynamo-1.4.2-vllm",
        "host_address": "10.0.0.1",
        "placement_group_size": variables.get("dynamo_group_size", 2),
        **variables,
    }
    host = Host(
        name="one",
        groups=frozenset(GROUPS),
        variables=values,
        names=CATALOGUE.shared.union(values),
        given=frozenset(values),
        defaults=CATALOGUE.defaults,
    )
    groups = {group: ["one"] for group in GROUPS}
    return Fleet(groups=groups, hosts={"one": host}, catalogue=CATALOGUE, root=ROOT)


def lines(**variables: Any) -> list[str]:
    return [report.line(problem) for problem in checks.run(fleet(**variables))]


def test_the_defaults_are_good() -> None:
    assert lines() == []


ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**9,
    "",
    "x",
    "\n",
    [],
    [None],
    [[1], "a"],
    {},
    {"a": None},
]


@pytest.mark.parametrize("name", sorted(CATALOGUE.names))
def test_no_value_breaks_a_check(name: str) -> None:
    """Any value of any variable gives lines, never a traceback."""
    for value in ODD:
        for line in lines(**{name: value}):
            assert "\n" not in line


@pytest.mark.parametrize("key", sorted(CATALOGUE.set_keys))
def test_no_release_set_breaks_a_check(key: str) -> None:
    for value in ODD:
        sets = {
            "dynamo-1.4.2-vllm": {
                **LITERALS["dynamo_release_sets"]["dynamo-1.4.2-vllm"],
                key: value,
            }
        }
        lines(dynamo_release_sets=sets)


def test_every_number_of_the_roles_has_a_rule() -> None:
    """A default of a kind that nothing judges would be a hole."""
    for name, default in CATALOGUE.defaults.items():
        assert kinds.rule_of(name, {name: default}), name
        rule = kinds.rule_of(name, CATALOGUE.defaults)
        assert rule and (not kinds.judge(default, rule) or default in ("", 0)), name
    assert set(kinds.RULES) <= CATALOGUE.names


@pytest.mark.parametrize(
    ("value", "rule", "wrong"),
    [
        (8, kinds.Rule("int", 1), ""),
        (True, kinds.Rule("int"), "is true or false, wanted is a whole number"),
        (8, kinds.Rule("number"), ""),
        (0.5, kinds.Rule("int"), "is a number, wanted is a whole number"),
        ("a", kinds.Rule("text", choices=("b",)), "is none of b"),
        ("ab", kinds.Rule("text", pattern="a"), "does not have the right form"),
        (None, kinds.Rule("text"), "is empty, wanted is text"),
        (1023, kinds.PORT, "is less than 1024"),
        (32768, kinds.PORT, "is more than 32767"),
    ],
)
def test_judge(value: Any, rule: kinds.Rule, wrong: str) -> None:
    assert kinds.judge(value, rule) == wrong


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("dynamo_engin", "did you mean dynamo_engine?"),
        ("Dynamo_Engine", "did you mean dynamo_engine?"),
        ("etcd_port", "did you mean etcd_peer_port?"),
        ("worker_colour", "remove it"),
        ("host_adress", "did you mean host_address?"),
        ("gpu_topology_recorded", "did you mean placement_topology_recorded?"),
        ("host_key_checking", None),
        ("release_notes_url", None),
        ("ansible_hosts", None),
        ("group_names", None),
        ("http_proxy", None),
        ("__worker_unit", None),
    ],
)
def test_unknown(name: str, meant: str | None) -> None:
    assert names.unknown(name, CATALOGUE) == meant


def test_foreign_variables_are_left_alone() -> None:
    assert lines(nats_user="secret", dynamo_foreign_variables=["nats_user"]) == []
    (line,) = lines(nats_user="secret")
    assert '"secret"' not in line and line.startswith("one: nats_user: no variable")


@pytest.mark.parametrize(
    ("version", "condition", "met"),
    [
        ("0.31.0", ">=0.29", True),
        ("0.28.0", ">=0.29", False),
        ("0.28.1rc1", ">=0.20,<0.29", True),
        ("2.11.0+cu130", "!=2.11.0", False),
        ("1.4.2", "==1.4.*", True),
        ("34ab141fd0", ["34ab141"], True),
        ("34ab14", ["34ab141"], False),
        ("34ab141", ">=1", False),
        ("1.4", "1.4.2", False),
        ("13", ">=oops", False),
        ("13", 13, True),
    ],
)
def test_matches(version: str, condition: Any, met: bool) -> None:
    assert versions.matches(version, condition) is met


def test_compatibility_table() -> None:
    """Each entry says all it has to, over names that there are, and no set of ours meets one."""
    for entry in GROUP_VARS["dynamo_known_bad"]:
        assert set(entry) == {"when", "reason", "mend"}
        assert set(entry["when"]) <= CATALOGUE.set_keys | {"etcd", "nats"}
    for name, content in LITERALS["dynamo_release_sets"].items():
        assert lines(dynamo_release_set=name, dynamo_engine=content["engine"]) == []


@pytest.mark.parametrize(
    ("url", "version"),
    [
        ("https://x/etcd/releases/download/v3.5.1/etcd-v3.5.1-linux-amd64.tar.gz", "3.5.1"),
        ("https://x/nats-server-2.15.1.tar.gz", "2.15.1"),
        ("https://x/etcd.tar.gz", ""),
    ],
)
def test_archive_version(url: str, version: str) -> None:
    assert versions.archive_version(url) == version


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.3.4", "100.64.0.1", "172.16.0.9"])
def test_addresses_taken(address: str) -> None:
    assert addresses.refused(address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "10.0.0",
        "10.0.0.1/24",
        "0.0.0.0",
        "127.0.0.2",
        "239.1.1.1",
        "169.254.1.1",
        "::1",
        "255.255.255.255",
    ],
)
def test_addresses_refused(address: str) -> None:
    assert addresses.refused(address)


@pytest.mark.parametrize(
    ("config", "size", "length", "said"),
    [
        ({"num_attention_heads": 64, "num_key_value_heads": 8}, 8, 0, ""),
        ({"num_attention_heads": 64, "num_key_value_heads": 8}, 16, 0, ""),
        ({"num_attention_heads": 28, "num_key_value_heads": 4}, 8, 0, "28 attention heads"),
        ({"num_attention_heads": 24, "num_key_value_heads": 3}, 2, 0, "3 key-value heads"),
        ({"text_config": {"num_attention_heads": 28}}, 8, 0, "28 attention heads"),
        ({"max_position_embeddings": 8192}, 2, 16384, "goes up to 8192 tokens"),
        ({"max_position_embeddings": 8192, "rope_scaling": {"factor": 4}}, 2, 16384, ""),
        ({"num_attention_heads": "many"}, 2, 0, ""),
    ],
)
def test_model(tmp_path: Path, config: Any, size: int, length: int, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    given = fleet(
        dynamo_model_path=str(tmp_path), dynamo_group_size=size, worker_max_model_len=length
    )
    found = [report.line(problem) for problem in served.check(given)]
    assert len(found) == bool(said) and all(said in line for line in found)


def test_model_directory(tmp_path: Path) -> None:
    assert served.missing(str(tmp_path / "no")) == "is not a directory"
    assert served.missing(str(tmp_path)) == "has no config.json"
    (tmp_path / "config.json").write_text("{}")
    assert served.missing(str(tmp_path)) == ""


def test_good_arguments() -> None:
    good = ["--max-num-seqs", "64", '--hf-overrides={"a b": 1}', "a b", "--enforce-eager"]
    assert lines(worker_extra_args=good, frontend_extra_args=["--router-replica-sync"]) == []


def test_report() -> None:
    problem = Problem("is wrong", "mend it", variable="v", value="1")
    hosts = {n: Host(n, frozenset(), {}, frozenset(), frozenset()) for n in "abcde"}
    some = Fleet({"etcd": ["a", "b"], "nats": ["a", "b"]}, hosts, CATALOGUE, ROOT)
    on = lambda names, **more: [Problem(**{**vars(problem), "host": n, **more}) for n in names]  # noqa: E731
    for given, wanted in (
        (on("abcde"), "all hosts: v = 1: is wrong; mend it"),
        (on("ab"), "group etcd: v = 1: is wrong; mend it"),
        (on("ab", variable="nats_x"), "group nats: nats_x = 1: is wrong; mend it"),
        (on("aac"), "a, c: v = 1: is wrong; mend it"),
        (on("acde"), "a, c, d and 1 more: v = 1: is wrong; mend it"),
        (on("a", origin="f.yml:3"), "a: v = 1: is wrong; mend it (set in f.yml:3)"),
        ([Problem("is wrong", "mend it", group="etcd")], "group etcd: is wrong; mend it"),
    ):
        assert [report.line(item) for item in report.merge(given, some)] == [wanted]


def test_show() -> None:
    assert show("a\n\u00e9") == '"a\\n\u00e9"'
    assert len(show("x" * 500)) == 80
