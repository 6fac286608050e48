"""The drills: what is done to the fleet, and what of it a client may feel."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible.module_utils.dynfleet.load.record import WHOLE, Record
from ansible.module_utils.dynfleet.verify import client

from drills import PROJECT
from drills.fleet import DrillError, Fleet

WITH_ITS_FRONTEND = "a stream is its frontend's: it ends with that process, or with its host"
WITHOUT_LEASE = (
    "every Dynamo process ends when its lease in etcd could not be renewed; what it served ends too"
)


@dataclass
class Made:
    """What a drill did.

    healthy_from: seconds since the epoch from which on the fleet can heal by itself, where that is
    later than the fault (an outage that has to be over first).
    excuses: why a request could not be carried, by who may claim it.
    """

    what: str
    excuses: list[Excuse] = field(default_factory=list)
    healthy_from: float = 0.0


@dataclass(frozen=True)
class Excuse:
    """A reason for requests that were not answered whole, and which these are."""

    why: str
    covers: Callable[[Record], bool]


@dataclass(frozen=True)
class Drill:
    """One drill. limit: seconds until full health."""

    name: str
    make: Callable[[Fleet], Made]
    limit: float = 120.0
    full_only: bool = False


def unexplained(records: list[Record], excuses: list[Excuse]) -> list[Record]:
    """Requests that were not answered whole and that no excuse covers."""
    return [
        record
        for record in records
        if record.outcome != WHOLE and not any(excuse.covers(record) for excuse in excuses)
    ]


def lost_with(url: str) -> Excuse:
    """Streams of a frontend that is gone: broken off, with no word of the service's."""
    signs = ("Disconnected", "Reset", "finish_reason: none", "end of stream", "in time", "refused")
    return Excuse(
        WITH_ITS_FRONTEND,
        lambda record: record.frontend == url and any(sign in record.reason for sign in signs),
    )


def kill_worker(fleet: Fleet) -> Made:
    """SIGKILL to all processes of one worker."""
    host = fleet.groups["workers"][-1]
    unit = "dynamo-worker@0.service"
    fleet.ssh(host, f"systemctl kill --signal=KILL {unit}")
    return Made(f"kill -9 of {unit} on {host}")


def kill_frontend(fleet: Fleet) -> Made:
    """SIGKILL to one frontend."""
    host = fleet.groups["frontends"][-1]
    fleet.ssh(host, "systemctl kill --signal=KILL dynamo-frontend.service")
    url = f"http://{fleet.hosts[host]}:{fleet.ports['frontend_http']}"
    return Made(f"kill -9 of the frontend on {host}", [lost_with(url)])


def kill_nats(fleet: Fleet) -> Made:
    """SIGKILL to every NATS server at once."""
    for host in fleet.groups["nats"]:
        fleet.ssh(host, "systemctl kill --signal=KILL dynamo-nats.service")
    return Made(f"kill -9 of NATS on {', '.join(fleet.groups['nats'])}")


def kill_etcd_leader(fleet: Fleet) -> Made:
    """SIGKILL to the leader of etcd."""
    for host in fleet.groups["etcd"]:
        status = client.ask(f"{fleet.etcd(host)}/v3/maintenance/status", 5, {}).document() or {}
        if status.get("leader") == (status.get("header") or {}).get("member_id", ""):
            fleet.ssh(host, "systemctl kill --signal=KILL dynamo-etcd.service")
            return Made(f"kill -9 of the etcd leader on {host}")
    raise DrillError("no member of etcd says that it is the leader")


def power(fleet: Fleet, host: str, state: str) -> None:
    """Switch a lab host off, hard, or on."""
    arguments = f"lab_dir={fleet.state} names={host} state={state}"
    subprocess.run(
        ["ansible", "localhost", "-m", "lab_hosts", "-a", arguments],
        cwd=PROJECT,
        capture_output=True,
        timeout=120,
        check=True,
    )


def host_off(fleet: Fleet) -> Made:
    """A host's plug pulled, and put in again when the rest has got over it."""
    host = fleet.groups["workers"][-1]
    power(fleet, host, "stopped")
    off = time.time()
    rest = fleet.wait_healthy(120, without=host) - off
    excuses = []
    if host in fleet.groups["frontends"]:
        excuses.append(lost_with(f"http://{fleet.hosts[host]}:{fleet.ports['frontend_http']}"))
    power(fleet, host, "restarted")
    on = time.time()
    return Made(f"{host} switched off; the rest is well after {rest:.1f} s; then on", excuses, on)


def etcd_outage(fleet: Fleet) -> Made:
    """etcd away for longer than a lease lasts."""
    ttl = int(
        fleet.ssh(
            fleet.groups["workers"][0], "sed -n s/^ETCD_LEASE_TTL=//p /etc/dynamo/worker-0.env"
        )
    )
    for host in fleet.groups["etcd"]:
        fleet.ssh(host, "systemctl stop dynamo-etcd.service")
    time.sleep(ttl + 10)
    for host in fleet.groups["etcd"]:
        fleet.ssh(host, "systemctl start --no-block dynamo-etcd.service")
    return Made(
        f"etcd away for {ttl + 10} s, a lease lasts {ttl} s",
        [Excuse(WITHOUT_LEASE, lambda _: True)],
        time.time(),
    )


def played(playbook: str, *options: str) -> Callable[[Fleet], Made]:
    """A drill that is a playbook."""

    def make(fleet: Fleet) -> Made:
        done = fleet.must_play(playbook, *options)
        return Made(
            f"{playbook} {' '.join(options)}".strip() + f", {done.seconds:.0f} s", [], time.time()
        )

    return make


ROLL = ("playbooks/rolling_restart.yml", "--extra-vars", json.dumps({"roll_force": True}))
# The same wheels under another id: what is upgraded is the id, and all the way there is gone.
UPGRADE = (
    "playbooks/upgrade.yml",
    "--extra-vars",
    json.dumps({"dynamo_release_revision": 2}),
)
DRILLS = [
    Drill("rolling restart", played(*ROLL)),
    Drill("upgrade", played(*UPGRADE)),
    Drill("roll-back", played("playbooks/rollback.yml")),
    Drill("kill -9 worker", kill_worker),
    Drill("kill -9 frontend", kill_frontend),
    Drill("kill -9 NATS", kill_nats),
    Drill("kill -9 etcd leader", kill_etcd_leader),
    Drill("host powered off", host_off, limit=180, full_only=True),
    Drill("etcd outage", etcd_outage, limit=180),
]
