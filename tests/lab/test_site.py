"""site.yml from bare hosts: check mode, convergence, listeners, sandbox, and recovery."""

from __future__ import annotations

import json

import pytest
import service

pytestmark = pytest.mark.lab
WORKERS = {
    f"{host}: dynamo-worker@{index}.service" for host in ("old", "new") for index in range(4)
}


def test_check_mode_on_bare_hosts_finishes_and_touches_nothing(
    virgin_check: service.Run, left_by_check: dict[str, str]
) -> None:
    assert virgin_check.rc == 0, virgin_check.output
    assert left_by_check == dict.fromkeys(service.ADDRESSES, "")


def test_service_is_deployed_and_verified(deployed: service.Run) -> None:
    verified = service.verify_until(0)
    assert verified.rc == 0, verified.output
    assert set(service.main_pids()) >= WORKERS


def test_nothing_is_used_that_ansible_will_drop(
    virgin_check: service.Run, deployed: service.Run
) -> None:
    for run in (virgin_check, deployed):
        assert "DEPRECATION" not in run.output


def test_second_run_changes_and_restarts_nothing(deployed: service.Run) -> None:
    before = service.main_pids()
    again = service.play("site.yml")
    assert again.rc == 0, again.output
    assert again.changed() == []
    assert service.main_pids() == before


def test_check_mode_on_converged_hosts_shows_nothing(deployed: service.Run) -> None:
    checked = service.play("site.yml", "--check", "--diff")
    assert checked.rc == 0, checked.output
    assert checked.changed() == []
    diffs = [
        diff
        for event in checked.events
        for diff in [(event["event_data"].get("res") or {}).get("diff")]
        if diff
    ]
    assert diffs == []


@pytest.mark.parametrize(
    ("tag", "single", "turns", "roles"),
    [
        ("frontend", {"frontends"}, False, {"host", "wheelhouse", "release", "frontend"}),
        ("worker", set(), True, {"host", "wheelhouse", "placement", "release", "worker"}),
        ("release", None, False, {"host", "wheelhouse", "release"}),
    ],
)
def test_a_tag_selects_a_part_and_its_roll(
    deployed: service.Run, tag: str, single: set[str] | None, turns: bool, roles: set[str]
) -> None:
    """Frontends and workers are to change; the part that is selected does, the other does not."""
    run = service.play(
        "site.yml",
        f"--check --tags {tag}",
        frontend_extra_args=["--router-temperature", "0.1"],
        worker_extra_args=["--speedup-ratio", "2"],
    )
    assert run.rc == 0, run.output
    plans = [result for _, result in run.results("fleet_plan")]
    assert len(plans) == (single is not None)
    for plan in plans:
        assert {group for group, hosts in plan["singles"].items() if hosts} == single
        assert bool(plan["turns"]) is turns
    ran = {event["event_data"].get("role") for event in run.events} - {None, ""}
    assert ran == roles


@pytest.mark.parametrize("host", service.ADDRESSES)
def test_units_score_at_most_two_and_verify_silently(deployed: service.Run, host: str) -> None:
    for unit in service.units(host):
        report = service.ssh(host, f"systemd-analyze security --no-pager '{unit}' --json=short")
        assert json.loads(report), unit
        score = service.ssh(host, f"systemd-analyze security --no-pager '{unit}' | tail -n 1")
        assert float(score.split(":")[1].split()[0]) <= 2.0, score
        assert service.ssh(host, f"systemd-analyze verify '{unit}' 2>&1 || true") == "", unit


def test_other_groups_of_gpus_replace_the_workers(deployed: service.Run) -> None:
    fours = service.play("site.yml", dynamo_group_size=4)
    assert fours.rc == 0, fours.output
    wanted = {
        f"{host}: dynamo-worker@{index}.service" for host in ("old", "new") for index in (0, 1)
    }
    assert {unit for unit in service.main_pids() if "worker" in unit} == wanted
    pairs = service.play("site.yml")
    assert pairs.rc == 0, pairs.output
    # Workers 0 and 1 held the GPUs that workers 2 and 3 were to have: all of a host together.
    assert set(pairs.restarted()) == WORKERS
    run = service.verify_until(0)
    assert run.rc == 0, run.output


@pytest.mark.parametrize("host", service.ADDRESSES)
def test_reboot_of_a_host_heals_without_a_hand(deployed: service.Run, host: str) -> None:
    boot = service.ssh(host, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
    service.ssh(host, "systemctl reboot --no-block")
    run = service.verify_until(120)
    assert run.rc == 0, run.output
    assert service.ssh(host, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1") != boot


@pytest.mark.parametrize("host", service.ADDRESSES)
def test_kill_of_any_process_heals_without_a_hand(deployed: service.Run, host: str) -> None:
    for unit in service.units(host):
        before = service.ssh(host, f"systemctl show -P MainPID '{unit}'").strip()
        service.ssh(host, f"kill -9 {before}")
        service.wait_active(host, unit, other_than=before)
    run = service.verify_until(60)
    assert run.rc == 0, run.output
