"""The program of a worker's ExecStop: the one file that hosts get, run as a unit would run it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from etcd_stand_in import EtcdStandIn

KEY = "v1/instances/dynamo/backend/generate/a1"
OTHER = "v1/instances/dynamo/backend/generate/b2"
CARD = "v1/mdc/dynamo/backend/generate/a1"


def page(count: int) -> str:
    return f'dynamo_component_inflight_requests{{dynamo_endpoint="generate"}} {count}\n'


def place(address: str) -> str:
    return json.dumps({"transport": {"tcp": f"{address}/a1/generate"}})


@pytest.fixture(scope="module")
def drain(render_helper: Callable[[str, str], Path]) -> Path:
    """The program as the role writes it."""
    return render_helper("worker", "__worker_drain")


@pytest.fixture
def etcd() -> Iterator[EtcdStandIn]:
    """A worker's metrics, and an etcd that has it and another one."""
    server = EtcdStandIn()
    server.put(KEY, place("127.0.0.1:9200"), 161)
    server.put(OTHER, place("127.0.0.1:9201"), 178)
    server.put(CARD, "{}", 161)
    server.pages["/metrics"] = [page(2), page(1), page(0)]
    yield server
    server.close()


class Stopped:
    """A stop of a worker that is at work: how it ended, and how long it took."""

    def __init__(
        self, drain: Path, etcd: EtcdStandIn, folder: Path, mark: Any = None, **environ: str
    ) -> None:
        cordon = folder / "worker-0.json"
        if mark is not None:
            cordon.write_text(mark if isinstance(mark, str) else json.dumps(mark))
        unit = {
            "MAINPID": "1",
            "INVOCATION_ID": "present",
            "ETCD_ENDPOINTS": etcd.url,
            "DYN_NAMESPACE": "dynamo",
            "DYN_TCP_RPC_HOST": "127.0.0.1",
            "DYN_TCP_RPC_PORT": "9200",
            "DYN_SYSTEM_HOST": "127.0.0.1",
            "DYN_SYSTEM_PORT": etcd.url.rpartition(":")[2],
            **environ,
        }
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-I", str(drain), "--seconds", "5", "--cordon", str(cordon)],
            env=unit,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.seconds = time.monotonic() - started
        self.status, self.said = done.returncode, done.stdout + done.stderr
        self.waited = len(etcd.pages.get("/metrics", [])) == 1


CORDON = {"by": "roll", "invocation": "present", "waited": True}


def test_it_leaves_discovery_and_waits_for_what_is_in_flight(
    drain: Path, etcd: EtcdStandIn, tmp_path: Path
) -> None:
    stopped = Stopped(drain, etcd, tmp_path)
    assert (stopped.status, stopped.said, stopped.waited) == (0, "", True)
    assert set(etcd.keys) == {OTHER, CARD}


def test_a_roll_that_has_waited_for_this_process_is_believed(
    drain: Path, etcd: EtcdStandIn, tmp_path: Path
) -> None:
    stopped = Stopped(drain, etcd, tmp_path, CORDON)
    assert (stopped.status, stopped.said, stopped.waited) == (0, "", False)


@pytest.mark.parametrize(
    ("mark", "environ"),
    [
        # An interrupted roll left it; the unit has been started again since.
        ({**CORDON, "invocation": "earlier"}, {}),
        # The roll died between taking it out of routing and its last request.
        ({**CORDON, "waited": False}, {}),
        ({"by": "roll", "invocation": "present"}, {}),
        # Neither says anything.
        ({**CORDON, "invocation": ""}, {"INVOCATION_ID": ""}),
        ("{", {}),
        ("[]", {}),
    ],
)
def test_any_other_mark_is_not(
    drain: Path, etcd: EtcdStandIn, tmp_path: Path, mark: Any, environ: dict[str, str]
) -> None:
    stopped = Stopped(drain, etcd, tmp_path, mark, **environ)
    assert (stopped.status, stopped.said, stopped.waited) == (0, "", True)


def test_a_process_that_has_ended_is_not_waited_for(
    drain: Path, etcd: EtcdStandIn, tmp_path: Path
) -> None:
    assert not Stopped(drain, etcd, tmp_path, MAINPID="").waited
    assert KEY in etcd.keys


def test_without_etcd_it_waits_all_the_same(drain: Path, etcd: EtcdStandIn, tmp_path: Path) -> None:
    stopped = Stopped(drain, etcd, tmp_path, ETCD_ENDPOINTS="http://127.0.0.1:1")
    assert (stopped.status, stopped.waited) == (0, True)
    assert "it stays in discovery until it ends" in stopped.said


def test_what_is_left_at_the_deadline_is_said(
    drain: Path, etcd: EtcdStandIn, tmp_path: Path
) -> None:
    etcd.pages["/metrics"] = [page(3)]
    stopped = Stopped(drain, etcd, tmp_path)
    assert (stopped.status, stopped.said) == (0, "3 requests were still running after 5 s\n")


def test_an_environment_without_what_it_needs_stops_nothing(
    drain: Path, etcd: EtcdStandIn, tmp_path: Path
) -> None:
    stopped = Stopped(drain, etcd, tmp_path, DYN_SYSTEM_PORT="none")
    assert stopped.status == 0
    assert "not waited for: ValueError" in stopped.said
    assert "Traceback" not in stopped.said


def test_it_starts_quickly(drain: Path, etcd: EtcdStandIn, tmp_path: Path) -> None:
    # Every stop of a worker pays for it; the machine may be busy.
    assert min(Stopped(drain, etcd, tmp_path, CORDON).seconds for _ in range(3)) < 1
