"""remove.yml on a converged lab, and the host that comes back by the inventory alone."""

from __future__ import annotations

import pytest
import service

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("deployed")]
OURS = "ls -d /etc/dynamo /usr/lib/dynamo /opt/dynamo /var/lib/dynamo /etc/systemd/system/dynamo*"


def refused(run: service.Run) -> str:
    """Why a run refused."""
    assert run.rc != 0
    assert run.changed() == []
    return " ".join(
        str((event["event_data"].get("res") or {}).get("msg", ""))
        for event in run.events
        if event["event"] == "runner_on_failed"
    )


def test_unknown_host_is_refused() -> None:
    message = refused(service.play("playbooks/remove.yml", target="nwe"))
    assert "target=nwe is no host of this inventory; hosts are: control, new, old" in message


def test_host_that_holds_the_service_is_refused_with_all_reasons() -> None:
    message = refused(service.play("playbooks/remove.yml", target="control"))
    for group in ("builder", "etcd", "nats"):
        assert f"it is the only host of the group {group} " in message
    assert "frontends" not in message
    assert "remove_last=true" in message


def test_host_leaves_and_comes_back() -> None:
    before = service.main_pids()
    checked = service.play("playbooks/remove.yml", "--check", target="new")
    assert checked.rc == 0, checked.output
    (listed,) = [result for _, result in checked.results("host_clean") if result]
    assert {"/etc/dynamo", "/opt/dynamo", "user dynamo"} <= set(listed["removed"])
    assert service.main_pids() == before

    removed = service.play("playbooks/remove.yml", target="new")
    assert removed.rc == 0, removed.output
    assert service.ssh("new", f"{OURS} 2>/dev/null || true") == ""
    assert service.units("new") == []
    assert service.ssh("new", "id dynamo 2>&1 || true").endswith("no such user\n")
    assert service.ssh("new", "cat /srv/models/lab/config.json")
    rest = service.play("playbooks/verify.yml", "--limit 'all:!new'")
    assert rest.rc == 0, rest.output

    # The rest of the fleet is not connected to, and not restarted.
    others = {unit: pid for unit, pid in service.main_pids().items() if "new" not in unit}
    added = service.play("site.yml", "--limit new")
    assert added.rc == 0, added.output
    verified = service.verify_until(60)
    assert verified.rc == 0, verified.output
    after = service.main_pids()
    assert {unit: after[unit] for unit in others} == others
