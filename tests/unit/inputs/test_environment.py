"""The engine's environment: which names are ours, and what nobody may read."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.dynfleet.inputs import environment

sys.path.append(str(Path(__file__).parent))
import fleet

TEMPLATE = fleet.ROOT / "roles/worker/templates/worker.env.j2"
SET_BY_US = sorted(
    {*re.findall(r"^([A-Z][A-Z0-9_]*)=", TEMPLATE.read_text(), re.M)}
    | {"DYNAMO_FINGERPRINT", "NATS_SERVER", "ETCD_AUTH_PASSWORD", "DYN_DISCOVERY_BACKEND", "PATH"}
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> fleet.Site:
    return fleet.Site(tmp_path_factory.mktemp("site"))


def test_the_template_is_read() -> None:
    assert len(SET_BY_US) > 40


@pytest.mark.parametrize(
    "variable",
    ["worker_environment", "worker_environment_on_host", "worker_environment_by_index"],
)
def test_what_the_unit_sets_is_not_the_sites(site: fleet.Site, variable: str) -> None:
    names: dict[str, object] = dict.fromkeys(SET_BY_US, "x")
    single = variable.endswith("_by_index")
    result = site.judge("ours", {"vars": {variable: {0: names} if single else names}})
    lines = fleet.report(result)
    assert len(lines) == len(SET_BY_US)
    known = project_variables()
    for name, line in zip(SET_BY_US, lines):
        where = f"{variable}.0.{name}" if single else f"{variable}.{name}"
        assert line.startswith(f"group workers: {where}: this variable is the project's own; ")
        for told in re.findall(r"\bset ([a-z]+_[a-z_]+)", line):
            assert told in known, line


def project_variables() -> set[str]:
    """Names of the project's variables."""
    paths = [
        *fleet.ROOT.glob("group_vars/all/*.yml"),
        *fleet.ROOT.glob("roles/*/defaults/main.yml"),
    ]
    return {name for path in paths for name in yaml.safe_load(path.read_text())}


def test_what_is_the_sites(site: fleet.Site) -> None:
    names = "NCCL_P2P_DISABLE NCCL_DEBUG VLLM_LOGGING_LEVEL LD_PRELOAD FLEXKV_SYNC_GET HF_HOME"
    result = site.judge(
        "theirs", {"vars": {"worker_environment": dict.fromkeys(names.split(), "1")}}
    )
    assert not result.get("failed"), result["msg"]


def test_the_role_goes_by_the_same_words() -> None:
    role = yaml.safe_load((fleet.ROOT / "roles/worker/vars/main.yml").read_text())
    assert role["__worker_secret"] == environment.SECRET.pattern


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("HF_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("PGPASSWORD", True),
        ("api_key", True),
        ("TOKENIZERS_PARALLELISM", False),
        ("VLLM_MAX_TOKENS", False),
        ("MONKEY", False),
    ],
)
def test_secret_names(name: str, secret: bool) -> None:
    assert bool(environment.SECRET.search(name)) is secret


@pytest.mark.parametrize(
    "value",
    [
        {"HF_TOKEN": "hf_secret\n"},
        {"HF_TOKEN": ["hf_secret"]},
        {"HF_TOKEN": "/home/hf_secret"},
        {"HF_TOKEN": "{{ hf_secret"},
        {"HF_TOKEN": "{% if hf_secret is defined %}x{% endif %}"},
        {"HF TOKEN": "hf_secret"},
        [{"HF_TOKEN": "hf_secret"}],
        "HF_TOKEN=hf_secret",
    ],
)
def test_no_report_shows_a_secret(site: fleet.Site, value: object) -> None:
    result = site.judge("secret", {"vars": {"worker_environment": value}})
    assert fleet.report(result)
    assert "hf_secret" not in str(result["msg"]).replace("'hf_secret' is undefined", "")
