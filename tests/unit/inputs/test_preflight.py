"""The check as operators meet it: playbooks through ansible-runner, judged by events."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

sys.path.append(str(Path(__file__).parent))
import fleet

# Several at once, of different checks; gpu1's address is one that does not answer.
BAD: dict[str, Any] = {
    "vars": {
        "dynamo_group_sise": 4,
        "worker_cpu_cache_gib": "{{ nothing_here }}",
        "worker_ssd_cache_gib": 500,
        "dynamo_engine": "sglang",
    },
    "hosts": {"gpu1": {"ansible_host": "192.0.2.1", "host_address": "0.0.0.0"}},
    "groups": {"etcd": ["c1", "c2"]},
}


def play(
    directory: Path, inventory: Path, playbook: str = "playbooks/preflight.yml", **options: Any
) -> tuple[str, list[dict[str, Any]]]:
    """Run a playbook; its status and the events of its tasks."""
    (directory / "runner").mkdir()
    run = ansible_runner.run(
        private_data_dir=str(directory / "runner"),
        project_dir=str(fleet.ROOT),
        playbook=playbook,
        inventory=str(inventory),
        envvars={"ANSIBLE_CONFIG": str(fleet.ROOT / "ansible.cfg")},
        quiet=True,
        timeout=120,
        **options,
    )
    events = [e for e in run.events if e["event"].startswith("runner_on_")]
    return run.status, events


def failed(events: list[dict[str, Any]]) -> list[str]:
    """The report's lines."""
    last = [e for e in events if e["event"] == "runner_on_failed"]
    assert len(last) == 1
    assert last[0]["event_data"]["task_action"] == "inventory_check"
    return str(last[0]["event_data"]["res"]["msg"]).splitlines()


@pytest.fixture
def site(tmp_path: Path) -> fleet.Site:
    return fleet.Site(tmp_path)


def test_site_stops_before_any_host(site: fleet.Site) -> None:
    status, events = play(
        site.directory, site.write("bad", BAD), "site.yml", extravars={"worker_gdss": True}
    )
    assert status == "failed"
    assert {e["event_data"]["host"] for e in events} == {"localhost"}
    lines = failed(events)
    assert lines[0] == f"{len(lines) - 1} problems in the inventory; no host was touched."
    for part in (
        "group etcd: 2 members bear no more failures than 1",
        "all hosts: dynamo_group_sise: no variable of this project; did you mean dynamo_group_size",
        "all hosts: worker_gdss: no variable of this project; did you mean worker_gds?",
        'all hosts: dynamo_engine = "sglang": is none of vllm, mocker',
        'gpu1: host_address = "0.0.0.0": would listen on every network',
        "group workers: worker_ssd_cache_gib = 500: there is no directory for the SSD tier",
        'all hosts: worker_cpu_cache_gib = "{{ nothing_here }}": cannot be rendered: ',
    ):
        assert sum(line.startswith(part) for line in lines) == 1, (part, lines)
    assert len(lines) == 8
    assert lines[2].endswith(f"(set in {site.directory}/bad.yml:4)")


def test_text_on_the_command_line(site: fleet.Site) -> None:
    status, events = play(
        site.directory,
        site.write("good", {}),
        cmdline="-e worker_memory_gib=240G -e worker_drain_seconds=60 -e dynamo_group_size=0",
    )
    assert status == "failed"
    assert failed(events)[1:] == [
        "all hosts: dynamo_group_size = 0: is less than 1; give at least 1 and at most 16 (GPUs of "
        "one worker) (set by -e)",
        'all hosts: worker_memory_gib = "240G": is text, wanted is a whole number; give at least 0 '
        "(GiB; 0 is none) (set by -e)",
    ]


def test_a_limited_run_is_checked_too(site: fleet.Site) -> None:
    status, events = play(
        site.directory, site.write("bad", BAD), "site.yml", limit="gpu1", cmdline="--check"
    )
    assert status == "failed"
    assert {e["event_data"]["task_action"] for e in events if "res" in e["event_data"]} == {
        "ansible.builtin.assert",
        "inventory_check",
    }
    assert len(failed(events)) == 7


@pytest.mark.parametrize("name", ["lab", "example"])
def test_the_projects_inventories_are_good(tmp_path: Path, name: str) -> None:
    status, events = play(tmp_path, fleet.ROOT / "inventory" / name)
    assert status == "successful", [
        e["event_data"]["res"] for e in events if "res" in e["event_data"]
    ]
    assert {e["event_data"]["host"] for e in events} == {"localhost"}
    assert not any(e["event_data"].get("res", {}).get("changed") for e in events)


def test_an_inventory_without_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(yaml.safe_dump(fleet.inventory({})))
    _, events = play(tmp_path, path)
    (line,) = failed(events)[1:]
    assert line.startswith("all hosts: ")
    assert "of the project's defaults are not in the inventory (bundle" in line
    assert f"ln -s {fleet.ROOT}/group_vars" in line


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("10.0.0.21", True),
        ("GPU_1.example.org", True),
        *((name, False) for name in ("localhost", "gpu 1", "c=1", "c,1", "a%i", "../x", "-v")),
    ],
)
def test_a_hosts_name(site: fleet.Site, name: str, good: bool) -> None:
    content = fleet.inventory({})
    content["all"]["hosts"][name] = content["all"]["hosts"].pop("gpu1")
    content["all"]["children"]["workers"]["hosts"] = {name: None, "gpu2": None}
    path = site.directory / "named.yml"
    path.write_text(yaml.safe_dump(content))
    assert bool(site.look_at(path).get("failed")) is not good


PASSWORD = "open sesame"  # noqa: S105


def vaulted(**texts: str) -> str:
    """Variables as YAML, encrypted with the password."""
    lib = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
    lines = []
    for name, value in texts.items():
        lines += [f"{name}: !vault |", *(f"  {x}" for x in lib.encrypt(value).decode().split())]
    return "\n".join(lines) + "\n"


@pytest.fixture
def with_secrets(site: fleet.Site) -> Path:
    """A fleet with vaulted variables, ours and another tool's, and one that quotes one."""
    path = site.write("vaulted", {"hosts": {"gpu1": {"placement_ssd_roots": ["{{ folder }}"]}}})
    (site.directory / "host_vars").mkdir()
    (site.directory / "host_vars/gpu1.yml").write_text(
        vaulted(dynamo_model_path="no/such/place", worker_memory_gib="240", other_tools_key="k")
        + 'folder: "{{ dynamo_model_path }}"\n'
    )
    return path


def test_vaulted_values_are_checked_and_never_shown(site: fleet.Site, with_secrets: Path) -> None:
    (site.directory / "password").write_text(PASSWORD)
    option = f"--vault-password-file {site.directory}/password"
    _, events = play(site.directory, with_secrets, cmdline=option)
    assert [line.split(" (set in ")[0] for line in failed(events)[1:]] == [
        "gpu1: worker_memory_gib = (vaulted): is text, wanted is a whole number; a vaulted value "
        "is always text: write this one in the open",
        "gpu1: placement_ssd_roots = [\"(vaulted)\"]: '(vaulted)' is not absolute; begin it with /",
        "gpu1: dynamo_model_path = (vaulted): is not absolute; name a directory of the worker "
        "hosts; model_source says where the model comes from",
    ]
    assert "no/such/place" not in str(events)


def test_without_the_password_other_tools_secrets_do_not_matter(
    site: fleet.Site, with_secrets: Path
) -> None:
    _, events = play(site.directory, with_secrets)
    names = ("dynamo_model_path", "placement_ssd_roots", "worker_memory_gib")
    for name, line in zip(names, failed(events)[1:], strict=True):
        assert line.startswith(f"gpu1: {name}")
        assert ("--ask-vault-pass" in line) == (name != "placement_ssd_roots")


def large(workers: int) -> dict[str, Any]:
    """A fleet of so many worker hosts with 8 GPUs each."""
    content = fleet.inventory({})
    hosts = {
        f"gpu{n:03}": {"ansible_host": f"10.1.{n // 250}.{n % 250 + 1}"} for n in range(workers)
    }
    content["all"]["hosts"] = {**fleet.CONTROL, **hosts}
    content["all"]["children"]["workers"] = {"hosts": dict.fromkeys(hosts)}
    return content


@pytest.mark.parametrize(("workers", "limit"), [(1, 0.3), (197, 10.0)])
def test_time(site: fleet.Site, workers: int, limit: float) -> None:
    """4 and 200 hosts: processor time, the best of three, as machines are busy."""
    path = site.directory / "large.yml"
    path.write_text(yaml.safe_dump(large(workers)))
    times = []
    for _ in range(3):
        start = time.process_time()
        result = site.look_at(path)
        times.append(time.process_time() - start)
        assert result["msg"] == f"{workers + 3} hosts: nothing to object to"
    print(f"{workers + 3} hosts: {min(times):.2f} s with reading the inventory")
    assert min(times) < limit


def test_many_hosts_are_one_line(site: fleet.Site) -> None:
    content = large(197)
    content["all"]["children"]["workers"]["vars"] = {"worker_block_size": 48}
    path = site.directory / "large.yml"
    path.write_text(yaml.safe_dump(content))
    assert [line.split(" = ")[0] for line in fleet.report(site.look_at(path))] == [
        "group workers: worker_block_size"
    ]
