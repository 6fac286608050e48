"""verify.yml on a converged lab: it passes, and names every fault that is made."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import service

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("deployed")]
LISTEN = (
    "systemd-run --quiet --unit {unit} python3 -c "
    "'import socket, time; s = socket.create_server((\"{address}\", {port})); time.sleep(300)'"
)
FINGERPRINT = "/etc/dynamo/fingerprint/dynamo-worker@0.service.env"


class Verified(NamedTuple):
    """A run of verify.yml with its report."""

    run: service.Run
    report: dict[str, Any]

    def served(self) -> dict[str, set[str]]:
        """By frontend, the workers that served it, as HOST/UNIT."""
        return {
            name: set(frontend["served"]["workers"])
            for name, frontend in self.report["frontends"].items()
        }


class Verify:
    """Runs verify.yml, each time with a report of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __call__(self, *options: str) -> Verified:
        path = self.place / f"{len(list(self.place.iterdir()))}.json"
        run = service.play("playbooks/verify.yml", *options, verify_report=str(path))
        return Verified(run, json.loads(path.read_text()))


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    """verify.yml."""
    return Verify(tmp_path)


def assert_whole(seen: Verified) -> None:
    """Nothing was found, and the run says so in every way."""
    assert seen.report["findings"] == []
    assert seen.report["ok"] is True
    assert seen.run.rc == 0


def workers(*hosts: str) -> set[str]:
    """Workers of the hosts, as HOST/UNIT."""
    return {f"{host}/dynamo-worker@{index}.service" for host in hosts for index in range(4)}


def test_converged_lab(verify: Verify) -> None:
    seen = verify()
    assert_whole(seen)
    assert seen.run.changed() == []
    bad = ("runner_on_failed", "runner_on_unreachable")
    assert not [event for event in seen.run.events if event["event"] in bad]
    assert seen.served()
    for served in seen.served().values():
        assert served == workers("old", "new")
    for frontend in seen.report["frontends"].values():
        # The mocker counts no cached tokens itself.
        assert frontend["cached"]["source"] == "nvext.timing.kv_hit_rate"


def test_listening_sockets_are_those_of_the_port_table(verify: Verify) -> None:
    """All sockets of all hosts, also those that are not ours; sshd's is the only other."""
    others = {
        (host, socket["address"], socket["port"], socket["process"])
        for host, seen in verify().report["hosts"].items()
        for socket in seen["sockets"]
        if socket["verdict"] != "listed" and (socket["process"], socket["port"]) != ("sshd", 22)
    }
    assert others == set()


class Fault(NamedTuple):
    """A fault, how it is mended, and what has to be found because of it."""

    host: str
    make: str
    mend: str
    unit: str
    check: str
    expected: str
    seen: str


FAULTS = {
    "stopped worker": Fault(
        "old",
        "systemctl stop dynamo-worker@1",
        "systemctl start dynamo-worker@1",
        "dynamo-worker@1.service",
        "state",
        "active",
        "inactive (dead)",
    ),
    "stopped frontend": Fault(
        "control",
        "systemctl stop dynamo-frontend",
        "systemctl start dynamo-frontend",
        "dynamo-frontend.service",
        "models",
        "a list from http://",
        "refused",
    ),
    "disabled unit": Fault(
        "control",
        "systemctl disable dynamo-nats",
        "systemctl enable dynamo-nats",
        "dynamo-nats.service",
        "enabled",
        "started at boot",
        "not enabled",
    ),
    "wrong fingerprint": Fault(
        "new",
        f"cp -p {FINGERPRINT} /run/ && echo DYNAMO_FINGERPRINT=0123456789abcdef > {FINGERPRINT}",
        f"mv /run/dynamo-worker@0.service.env {FINGERPRINT}",
        "dynamo-worker@0.service",
        "fingerprint",
        "0123456789abcdef",
        "the process runs with ",
    ),
    "listener of our own on every address": Fault(
        "control",
        LISTEN.format(unit="dynamo-extra", address="0.0.0.0", port=5555),
        "systemctl stop dynamo-extra",
        "dynamo-extra.service",
        "listener",
        "no listener that is not in the port table",
        "0.0.0.0:5555 of python3",
    ),
    "stranger on one of our ports": Fault(
        "new",
        LISTEN.format(unit="stranger", address="127.0.0.1", port=9100),
        "systemctl stop stranger",
        "dynamo-worker@0.service",
        "listener",
        "port 9100 for dynamo-worker@0.service alone",
        "127.0.0.1:9100 of python3",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault_is_named(verify: Verify, fault: Fault) -> None:
    service.ssh(fault.host, fault.make)
    try:
        seen = verify()
    finally:
        service.ssh(fault.host, fault.mend)
    assert seen.run.rc != 0
    assert seen.report["ok"] is False
    (finding,) = [item for item in seen.report["findings"] if item["check"] == fault.check]
    assert (finding["host"], finding["unit"]) == (fault.host, fault.unit)
    assert finding["expected"].startswith(fault.expected)
    assert fault.seen in finding["seen"]
    # A stranger's socket says nothing of the unit whose port it has.
    assert finding["log"] or fault.check == "listener"
    # Nothing else is blamed.
    assert {item["host"] for item in seen.report["findings"]} == {fault.host}
    assert {item["unit"] for item in seen.report["findings"]} == {fault.unit}


def test_killed_worker_is_named_until_it_is_back(verify: Verify) -> None:
    unit = "dynamo-worker@2.service"
    service.ssh("old", f"systemctl kill --signal KILL {unit}")
    seen = verify()
    assert seen.run.rc != 0
    (finding,) = [item for item in seen.report["findings"] if item["unit"] == unit]
    assert (finding["host"], finding["check"]) == ("old", "state")
    assert "activating" in finding["seen"]
    assert any("status=9/KILL" in line for line in finding["log"])
    deadline = time.monotonic() + 60
    while (seen := verify()).run.rc != 0 and time.monotonic() < deadline:
        pass
    assert_whole(seen)


def test_a_worker_that_keeps_ending_with_exit_code_0_is_named(verify: Verify) -> None:
    host, unit = "new", "dynamo-worker@3.service"
    service.ssh(host, f"systemctl restart {unit}")
    for _ in range(3):
        pid = service.ssh(host, f"systemctl show -P MainPID {unit}").strip()
        service.ssh(host, f"kill -TERM {pid}")
        service.wait_active(host, unit, other_than=pid)
    # Earlier tests may have killed it too, minutes ago.
    said = re.compile(r"restarted [3-9] times in 10 min by systemd, .* after exit code 0")
    try:
        seen = verify()
        status = service.play("playbooks/status.yml")
    finally:
        service.ssh(host, f"systemctl restart {unit}")
    (finding,) = seen.report["findings"]
    assert (finding["host"], finding["unit"], finding["check"]) == (host, unit, "flapping")
    assert said.fullmatch(finding["seen"])
    assert said.search(status.output)


def test_unreachable_host_is_a_finding_and_the_rest_is_looked_at(
    verify: Verify, tmp_path: Path
) -> None:
    closed = tmp_path / "closed.yml"
    closed.write_text('{"all": {"hosts": {"new": {"ansible_port": 1}}}}')
    seen = verify(f"--inventory {service.INVENTORY} --inventory {closed}")
    assert seen.run.rc != 0
    (finding,) = seen.report["findings"]
    assert (finding["host"], finding["check"]) == ("new", "probe")
    assert "unreachable" in finding["seen"]
    for served in seen.served().values():
        assert served == workers("old")


def test_part_of_the_fleet_is_judged_too(verify: Verify) -> None:
    seen = verify("--limit new")
    assert_whole(seen)
    assert set(seen.report["hosts"]) == {"new"}


def test_lab_is_whole_again(verify: Verify) -> None:
    assert_whole(verify())
