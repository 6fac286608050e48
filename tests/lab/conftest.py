"""Hosts for the tests of the whole service: made once a session, taken away after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import service


@pytest.fixture(scope="session")
def bare_hosts() -> Iterator[None]:
    """Three lab hosts with nothing of ours on them."""
    service.play("playbooks/lab_down.yml")
    made = service.play("playbooks/lab_up.yml")
    assert made.rc == 0, made.output
    yield
    gone = service.play("playbooks/lab_down.yml")
    assert gone.rc == 0, gone.output


@pytest.fixture(scope="session")
def virgin_check(bare_hosts: None) -> service.Run:
    """site.yml in check mode, before anything is installed."""
    return service.play("site.yml", "--check", "--diff")


@pytest.fixture(scope="session")
def left_by_check(virgin_check: service.Run) -> dict[str, str]:
    """What check mode left on each host: looked at before the deploy, whichever test is first."""
    looked = "ls -d /etc/dynamo /opt/dynamo /usr/lib/dynamo || true"
    return {host: service.ssh(host, looked) for host in service.ADDRESSES}


@pytest.fixture(scope="session")
def deployed(left_by_check: dict[str, str]) -> service.Run:
    """The service, deployed by site.yml."""
    run = service.play("site.yml")
    assert run.rc == 0, run.output
    return run
