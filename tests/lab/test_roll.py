"""Rolls and drains on the converged lab, with clients that check every answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import service

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("deployed")]
ROLL = "playbooks/rolling_restart.yml"
FRONTENDS = [f"http://{service.ADDRESSES[host]}:8000" for host in ("control", "old")]
WORKERS = {f"{host}: dynamo-worker@{n}.service" for host in ("old", "new") for n in range(4)}
CHANGED = {"worker_grace_seconds": 3}  # by the first test, and back by the drained worker's
UNIT = "/etc/systemd/system/dynamo-worker@1.service.d/broken.conf"


@contextmanager
def load(place: Path) -> Iterator[dict[str, Any]]:
    """Clients at work; their summary is filled in when they have ended."""
    summary: dict[str, Any] = {}
    with (place / "load.err").open("w") as errors:
        clients = subprocess.Popen(
            [
                *(sys.executable, service.PROJECT / "tools/load", "--model", "lab", "--words"),
                *("--streams", "6", "--tokens", "100", "900", *FRONTENDS),
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield summary
        finally:
            clients.send_signal(signal.SIGINT)
            out, _ = clients.communicate(timeout=120)
            summary.update(json.loads(out))


def assert_whole(summary: dict[str, Any]) -> None:
    """Every answer was whole; a roll that met no request proves nothing."""
    lost = {name: summary[name] for name in ("failed", "truncated", "wrong")}
    assert lost == {"failed": 0, "truncated": 0, "wrong": 0}, summary
    assert summary["whole"] > 50


def message(run: service.Run, action: str) -> str:
    """What a failed task of this module said; of a looped one, its last item."""
    for event in run.events:
        data = event["event_data"]
        if event["event"] == "runner_on_failed" and data["task_action"] == action:
            return str(data["res"].get("results", [data["res"]])[-1]["msg"])
    raise AssertionError(run.output)


def invocations() -> dict[str, str]:
    """Id of the present start of each worker."""
    found = {}
    for unit in WORKERS:
        host, name = unit.split(": ")
        found[unit] = service.ssh(host, f"systemctl show -P InvocationID {name}").strip()
    return found


def left_behind() -> str:
    """Cordons of rolls that are still there."""
    return "".join(
        service.ssh(host, "ls /run/dynamo-roll/cordoned/ 2>/dev/null || true")
        for host in ("old", "new")
    )


def jobs() -> list[str]:
    """Job files of probes on each host: a roll that is killed leaves one."""
    command = "ls /root/.ansible_async 2>/dev/null || true"
    return [service.ssh(host, command) for host in service.ADDRESSES]


def outside(run: service.Run) -> dict[str, Any]:
    """What the probe of a roll saw."""
    results = [result for _, result in run.results("ansible.builtin.async_status")]
    (seen,) = [result for result in results if "service" in result]
    return seen


def test_a_changed_setting_rolls_what_it_concerns_and_loses_no_request(tmp_path: Path) -> None:
    before = invocations()
    with load(tmp_path) as summary:
        run = service.play("site.yml", **CHANGED)
    assert run.rc == 0, run.output
    assert_whole(summary)
    assert sorted(run.restarted()) == sorted(WORKERS)
    after = invocations()
    assert all(before[unit] != after[unit] for unit in WORKERS)
    assert left_behind() == ""
    turns = [row for _, result in run.results("worker_service") for row in result["workers"]]
    slow = [row for row in turns if row["seconds"]["out"] > row["seconds"]["start"] + 10]
    assert slow == []
    assert [row["in_flight"] for row in turns] == [0] * len(WORKERS)
    seen = outside(run)
    assert seen["service"]["asked"] > 20
    assert seen["service"]["failures"] == 0
    assert sorted(seen["frontends"]) == FRONTENDS
    assert "seen from outside, as a load balancer asks" in run.output


def test_a_worker_that_does_not_start_stops_the_roll_and_the_rerun_does_the_rest() -> None:
    before, left = invocations(), jobs()
    service.ssh("old", f"printf '[Service]\\nExecStartPre=/bin/false\\n' >{UNIT}")
    service.ssh("old", "systemctl daemon-reload")
    try:
        run = service.play(ROLL, roll_workers="old:0,old:1,old:2,new:3")
    finally:
        service.ssh("old", f"rm {UNIT}; systemctl daemon-reload")
    assert run.rc == 2
    assert "dynamo-worker@1.service did not start" in message(run, "worker_service")
    told = message(run, "ansible.builtin.fail")
    assert "seen from outside, as a load balancer asks" in told
    assert ", 0 failed" in told
    assert jobs() == left
    after = invocations()
    moved = {unit for unit in WORKERS if before[unit] != after[unit]}
    assert moved >= {"old: dynamo-worker@0.service"}
    assert not moved & {"old: dynamo-worker@2.service", "new: dynamo-worker@3.service"}
    again = service.play(ROLL, roll_workers="old:0,old:1,old:2,new:3")
    assert again.rc == 0, again.output
    last = invocations()
    unit = "old: dynamo-worker@0.service"
    assert last[unit] == after[unit], "restarted twice"
    assert {u for u in WORKERS if last[u] != before[u]} == {
        *(f"old: dynamo-worker@{n}.service" for n in (0, 1, 2)),
        "new: dynamo-worker@3.service",
    }
    assert left_behind() == ""


def test_a_killed_module_stops_the_batch_and_the_rerun_completes_it() -> None:
    """SIGKILL of the roll's own module on one of two hosts that have their turns at once."""
    four = [f"{host}:{n}" for host in ("old", "new") for n in (0, 1)]
    wanted = {"roll_workers": ",".join(four), "roll_batch": [2], "roll_max_out": 2}
    before = invocations()
    command = ["ansible-playbook", "--inventory", str(service.INVENTORY), ROLL]
    roll = subprocess.Popen(
        [*command, "--extra-vars", json.dumps(wanted)],
        cwd=service.PROJECT,
        env={**os.environ, "ANSIBLE_CONFIG": str(service.PROJECT / "ansible.cfg")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # The module holds this lock during its turn.
    kill = "for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -q /run/dynamo-roll/lock "
    kill += "&& kill -KILL ${p#/proc/} && echo killed; done; true"
    deadline = time.monotonic() + 120
    while "killed" not in service.ssh("old", kill):
        ended = roll.poll() is not None or time.monotonic() > deadline
        assert not ended, roll.communicate(timeout=300)[0]
        time.sleep(0.2)
    output, _ = roll.communicate(timeout=300)
    assert roll.returncode == 2, output
    assert "killed by SIGKILL" in output
    assert "new was not touched: the roll has ended: old: worker_service ended" in output
    middle = invocations()
    moved = {unit for unit in WORKERS if before[unit] != middle[unit]}
    assert not moved & {"old: dynamo-worker@1.service", "new: dynamo-worker@1.service"}
    again = service.play(ROLL, **wanted)
    assert again.rc == 0, again.output
    after = invocations()
    assert {unit for unit in WORKERS if before[unit] != after[unit]} == {
        f"{host}: dynamo-worker@{n}.service" for host in ("old", "new") for n in (0, 1)
    }
    unit = "new: dynamo-worker@0.service"
    assert after[unit] == middle[unit] != before[unit], "restarted twice"
    assert left_behind() == ""


def test_a_changed_model_card_ends_the_roll_with_the_reason_and_the_way_back() -> None:
    before = invocations()
    run = service.play("site.yml", worker_block_size=32, **CHANGED)
    assert run.rc == 2
    said = message(run, "worker_service")
    first = said.splitlines()[0]
    assert "kv_cache_block_size is 32, theirs 16 (worker_block_size)" in first
    assert f"{FRONTENDS[0]} does not route to" in said
    assert "Set it back" in said
    # What the frontends logged is the end of the run.
    assert "log of dynamo-frontend.service on control meanwhile" in message(
        run, "ansible.builtin.fail"
    )
    middle = invocations()
    moved = [unit for unit in WORKERS if before[unit] != middle[unit]]
    assert len(moved) == 1
    back = service.play("site.yml", **CHANGED)
    assert back.rc == 0, back.output
    after = invocations()
    assert [unit for unit in WORKERS if middle[unit] != after[unit]] == moved
    assert left_behind() == ""


def test_what_an_operator_drained_stays_drained(tmp_path: Path) -> None:
    with load(tmp_path) as summary:
        drained = service.play(
            "playbooks/drain.yml", target="new:gpu5", drain_why="row remapping pending"
        )
        assert drained.rc == 0, drained.output
        assert "safe to stop" in drained.output
        # Any stop drains first, not only the roll's.
        service.ssh("old", "systemctl restart dynamo-worker@3", timeout=120)
        before = invocations()
        # Back from CHANGED: every worker differs.
        changed = service.play("site.yml")
        assert changed.rc == 0, changed.output
    assert_whole(summary)
    after = invocations()
    assert {u for u in WORKERS if before[u] == after[u]} == {"new: dynamo-worker@2.service"}
    # Stopped, it is not started by site.yml, and verify says so without calling it a fault.
    service.ssh("new", "systemctl stop dynamo-worker@2; systemctl start dynamo-worker@2")
    again = service.play("site.yml")
    assert again.rc == 0, again.output
    state = "systemctl is-active dynamo-worker@2 || true"
    assert service.ssh("new", state).strip() == "inactive"
    verified = service.verify_until(30)
    assert verified.rc == 0, verified.output
    assert "row remapping pending" in verified.output
    status = service.play(
        "playbooks/status.yml", target="new:2", roll_status_report=str(tmp_path / "s")
    )
    assert "drained by" in status.output
    assert json.loads((tmp_path / "s").read_text())["units"][0]["drained"]["why"]
    back = service.play("playbooks/undrain.yml", target="new:2")
    assert back.rc == 0, back.output
    assert service.ssh("new", state).strip() == "active"


@pytest.mark.parametrize(
    ("playbook", "variables", "said"),
    [
        ("playbooks/drain.yml", {"target": "gpu9"}, "no such host, worker or GPU: gpu9"),
        (ROLL, {"roll_workers": "all", "roll_batch": [2], "roll_max_out": 1}, "roll_max_out"),
    ],
)
def test_bad_input_is_refused(playbook: str, variables: dict[str, Any], said: str) -> None:
    before = invocations()
    run = service.play(playbook, **variables)
    assert run.rc == 2
    assert said in message(run, "fleet_plan")
    assert invocations() == before


def test_a_part_of_the_fleet_is_judged_as_a_part() -> None:
    """``--limit``: what is not in the run is asked for all the same."""
    drained = service.play("playbooks/drain.yml", "--check", "--limit new", target="new")
    assert drained.rc == 0, drained.output
    service.ssh("old", "systemctl stop dynamo-frontend")
    try:
        run = service.play(ROLL, "--check", "--limit control", roll_force=True)
        said = message(run, "fleet_plan")
        assert "frontends: while control restarts, 0 of 2 would be left, and 1 have to be" in said
        assert f"old: {FRONTENDS[1]}/health says ConnectionRefusedError" in said
        # Alone in their groups: announced, and not refused.
        assert "etcd:" not in said
    finally:
        service.ssh("old", "systemctl start dynamo-frontend", timeout=120)


def test_more_workers_than_may_be_out_are_started_all_the_same() -> None:
    service.ssh("old", "systemctl stop dynamo-worker@0 dynamo-worker@1", timeout=120)
    run = service.play(ROLL, roll_max_out=1)
    assert run.rc == 0, run.output
    assert sorted(run.restarted()) == [f"old: dynamo-worker@{n}.service" for n in (0, 1)]
    assert outside(run)["service"]["failures"] == 0


def test_one_roll_at_a_time_and_none_of_a_degraded_fleet() -> None:
    lock = {"run": "r1", "who": "anna@elsewhere", "controller": "elsewhere", "since": "noon"}
    key = "import base64, json, sys, urllib.request as u\n"
    key += "b = lambda s: base64.b64encode(s.encode()).decode()\n"
    key += f"v = json.dumps({{'key': b('dynfleet/roll'), 'value': b('''{json.dumps(lock)}''')}})\n"
    key += "url = 'http://10.83.0.11:2379/v3/kv/' + sys.argv[1]\n"
    key += "u.urlopen(url, v.encode())\n"
    put = "python3 - {} <<'E'\n" + key.replace("{", "{{").replace("}", "}}") + "E"
    service.ssh("control", put.format("put"))
    try:
        run = service.play(ROLL, roll_workers="old:0")
        assert "anna@elsewhere" in message(run, "roll_lock")
        assert "roll_take_lock" in message(run, "roll_lock")
    finally:
        service.ssh("control", put.format("deleterange"))
    pid = service.ssh("new", "systemctl show -P MainPID dynamo-worker@0").strip()
    service.ssh("new", f"kill -STOP {pid}")
    run = service.play(ROLL, roll_workers="old:0")
    assert "not in service are new:0" in message(run, "fleet_plan")
    assert "roll_allow_degraded" in message(run, "fleet_plan")
    # By its name it is restarted: what hangs is not waited for.
    named = service.play(ROLL, roll_workers="new:0")
    assert named.rc == 0, named.output
    (_, result), *_ = named.results("worker_service")
    assert any("not waited for" in note for note in result["workers"][0]["notes"])
    verified = service.verify_until(60)
    assert verified.rc == 0, verified.output
