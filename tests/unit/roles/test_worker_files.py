"""The worker role's files, from an inventory as a site writes it: Ansible itself renders them."""

from __future__ import annotations

import sys
from difflib import ndiff
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "open sesame"  # noqa: S105
TEMPLATE = """{%- for m in messages %}{{ m['content'] | replace("\\n", '\\\\n') }} 100% %n $HOME
${X} `id` {# no #}
{%- endfor %}\t\u00e9 "a" 'b' \\"""
ODD = "a \"b\" 'c' $HOME \\n `id` %h {{ x }} {% y %} \u00e9 #;"
PORTS = {"system": 9100, "request": 9200, "vllm": 21000}
PORTS |= {"flexkv_metrics": 9300, "flexkv_cpp_metrics": 9400}
PLAN = {
    "group_size": 1,
    "source": "recorded:x",
    "workers": [
        {"index": index, "gpus": [{"index": index, "uuid": f"GPU-{index}"}], "link": "NV18"}
        | {"cpus": None, "numa_node": None, "net_devices": [], "ssd_dirs": [], "ports": PORTS}
        for index in (0, 1)
    ],
}


class Literal(str):
    """Text that the site marks with !unsafe."""


class Vaulted(str):
    """Text that the site encrypts."""


class Dumper(yaml.SafeDumper):
    """Writes both as an inventory has them."""


Dumper.add_representer(Literal, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))
Dumper.add_representer(
    Vaulted, lambda dumper, text: dumper.represent_scalar("!vault", encrypt(text))
)


def encrypt(text: str) -> str:
    """A text as ansible-vault encrypts it."""
    lib = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
    return str(lib.encrypt(str(text)).decode())


def play(directory: Path, tasks_from: str = "main", **variables: Any) -> ansible_runner.Runner:
    """The role in check mode, on a host that has nothing and two workers."""
    directory.mkdir()
    (directory / "group_vars").symlink_to(ROOT / "group_vars")
    host = {"ansible_host": "10.0.0.1", "ansible_connection": "local"}
    host |= {"ansible_python_interpreter": sys.executable, "worker_plan": PLAN}
    host |= {"dynamo_engine": "mocker", "dynamo_model_path": "/srv/m"}
    host |= {"worker_release": "/opt/dynamo/releases/x/worker", **variables}
    groups = ("etcd", "nats", "builder", "frontends", "workers")
    inventory = {
        "all": {
            "hosts": {"gpu1": host},
            "children": {name: {"hosts": {"gpu1": None}} for name in groups},
        }
    }
    path = directory / "hosts.yml"
    path.write_text(yaml.dump(inventory, Dumper=Dumper, sort_keys=False))
    (directory / "password").write_text(PASSWORD)
    (directory / "runner").mkdir()
    role = {"name": "worker", "tasks_from": tasks_from}
    tasks = [{"name": "Try the role", "ansible.builtin.import_role": role}]
    plays = [{"name": "Try", "hosts": "workers", "gather_facts": False, "tasks": tasks}]
    (directory / "play.yml").write_text(yaml.safe_dump(plays))
    return ansible_runner.run(
        private_data_dir=str(directory / "runner"),
        project_dir=str(ROOT),
        playbook=str(directory / "play.yml"),
        inventory=str(path),
        cmdline=f"--check --diff -vvv --vault-password-file {directory / 'password'}",
        envvars={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        quiet=True,
        timeout=120,
    )


class Rendered:
    """What the role would write."""

    def __init__(self, directory: Path, **variables: Any) -> None:
        run = play(directory, **variables)
        self.output = run.stdout.read()
        assert run.status == "successful", self.output
        (self.result,) = [
            event["event_data"]["res"]
            for event in run.events
            if event["event"] == "runner_on_ok" and event["event_data"]["task_action"] == "unit_set"
        ]
        self.diff = {
            entry["after_header"]: entry["after"]
            for entry in self.result["diff"]
            if "after_header" in entry
        }
        self.files = {
            item["path"]: item for item in self.result["invocation"]["module_args"]["files"]
        }
        self.units = self.result["invocation"]["module_args"]["units"]
        self.want = [unit["want"] for unit in self.result["units"]]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return Rendered(tmp_path_factory.mktemp("bare") / "site")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return Rendered(
        tmp_path_factory.mktemp("full") / "site",
        worker_extra_args=["--chat-template", Literal(TEMPLATE)],
        worker_environment={
            "NCCL_P2P_DISABLE": "1",
            "ODD": Literal(ODD),
            "HF_TOKEN": "hf_in_the_open",
            "PLAIN_NAME": Vaulted("hf_behind_a_vault"),
        },
        worker_environment_on_host={"NCCL_DEBUG": "INFO", "EMPTY": ""},
        worker_environment_by_index={1: {"NCCL_DEBUG": "WARN", "API_KEY": "hf_of_one"}},
    )


def added(full: Rendered, bare: Rendered, path: str) -> list[str]:
    """Lines that a file has more than without the site's own; it lacks none."""
    changes = list(ndiff(bare.diff[path].splitlines(), full.diff[path].splitlines()))
    assert not [line for line in changes if line.startswith("- ")]
    return [line[2:] for line in changes if line.startswith("+ ") and line.strip() != "+"]


def test_nothing_set_changes_nothing(bare: Rendered) -> None:
    assert sorted(bare.files) == [
        "/etc/dynamo/worker-0.env",
        "/etc/dynamo/worker-1.env",
        "/etc/systemd/system/dynamo-worker@.service",
        "/etc/systemd/system/dynamo-worker@0.service.d/placement.conf",
        "/etc/systemd/system/dynamo-worker@1.service.d/placement.conf",
        "/usr/lib/dynamo/drain",
    ]
    assert bare.diff["/etc/dynamo/worker-0.env"].endswith(
        "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS='[\"generate\"]'\n"
    )
    assert bare.diff["/etc/dynamo/worker-0.env"].startswith("# Written by Ansible")
    assert bare.diff["/etc/systemd/system/dynamo-worker@0.service.d/placement.conf"].endswith(
        "[Service]\n"
    )


def test_fleet_host_and_worker(full: Rendered, bare: Rendered) -> None:
    odd = "".join(f"\\{letter}" if letter in '"\\`$' else letter for letter in ODD)
    common = ["# The site's own.", 'EMPTY=""']
    rest = ['NCCL_P2P_DISABLE="1"', f'ODD="{odd}"']
    assert added(full, bare, "/etc/dynamo/worker-0.env") == [*common, 'NCCL_DEBUG="INFO"', *rest]
    assert added(full, bare, "/etc/dynamo/worker-1.env") == [*common, 'NCCL_DEBUG="WARN"', *rest]
    assert all(one != other for one, other in zip(full.want, bare.want))


def test_secrets_are_roots_alone(full: Rendered, bare: Rendered) -> None:
    for index in (0, 1):
        path = f"/etc/dynamo/worker-{index}.secret.env"
        assert (full.files[path]["mode"], full.files[path]["owner"]) == ("0600", "root")
        assert full.diff[path] == "(content withheld)\n"
        assert path in full.units[index]["inputs"]
        assert added(
            full, bare, f"/etc/systemd/system/dynamo-worker@{index}.service.d/placement.conf"
        ) == [f"EnvironmentFile={path}"]
    for secret in ("hf_in_the_open", "hf_behind_a_vault", "hf_of_one"):
        assert secret not in full.output
        assert secret not in str(full.result)


def test_a_secret_is_part_of_the_fingerprint(full: Rendered, tmp_path: Path) -> None:
    def wanted(name: str, token: str) -> list[str]:
        return Rendered(tmp_path / name, worker_environment={"HF_TOKEN": token}).want

    assert wanted("one", "a") != wanted("other", "b")


def test_a_template_for_the_engine_arrives_as_it_is(full: Rendered) -> None:
    unit = full.diff["/etc/systemd/system/dynamo-worker@.service"]
    (line,) = [line for line in unit.splitlines() if line.startswith('  "{%%- for m')]
    body = line.strip()[1:-1]
    # As systemd.syntax(7), systemd.unit(5) and systemd.service(5) read it.
    read = body.replace("%%", "%").replace("$$", "$")
    for escaped, letter in (("\\\\", "\0"), ('\\"', '"'), ("\\n", "\n"), ("\\t", "\t")):
        read = read.replace(escaped, letter)
    assert read.replace("\0", "\\") == TEMPLATE


@pytest.mark.parametrize(("index", "good"), [(1, True), (2, False), ("0", True)])
def test_a_worker_that_the_plan_does_not_have(tmp_path: Path, index: object, good: bool) -> None:
    settings = {index: {"NCCL_DEBUG": "INFO"}}
    run = play(tmp_path / "site", "planned", worker_environment_by_index=settings)
    assert (run.status == "successful") is good
    said = (
        "gpu1: worker_environment_by_index has 2, and the plan of this host has the workers 0, 1."
    )
    assert (said in " ".join(run.stdout.read().split())) is not good
