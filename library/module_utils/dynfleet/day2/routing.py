"""Taking workers out of routing, and back: by their keys in discovery, seen at the frontends."""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ansible.module_utils.dynfleet.day2 import discovery, marks
from ansible.module_utils.dynfleet.day2.workers import Worker
from ansible.module_utils.dynfleet.etcd import Etcd, LeaseGone
from ansible.module_utils.dynfleet.verify import client, metrics

PAGE_SECONDS = 5.0


class Unconfirmed(Exception):
    """The frontends do not say what they should in time; the message says which and what."""


class Routed(NamedTuple):
    """Instances that every frontend's router should have, and should not have."""

    have: frozenset[int] = frozenset()
    lack: frozenset[int] = frozenset()

    def wrong(self, registered: Set[int]) -> str:
        """What is otherwise at a frontend, as the rest of a sentence; empty where nothing is."""
        missing, left = sorted(self.have - registered), sorted(self.lack & registered)
        said = [f"does not route to {listed(missing)}"] if missing else []
        said += [f"still routes to {listed(left)}"] if left else []
        return " and ".join(said)


def listed(instances: Sequence[int], most: int = 8) -> str:
    """Instances as the metrics and logs of frontends name them: in decimal digits."""
    names = [str(instance) for instance in instances[:most]]
    more = [f"{len(instances) - most} more"] if len(instances) > most else []
    return ", ".join(names + more) or "none"


def now() -> str:
    """The time, for marks."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def pages(frontends: Sequence[str]) -> dict[str, client.Answer]:
    """The metrics of every frontend, by its URL."""

    def ask(url: str) -> client.Answer:
        return client.ask(f"{url}/metrics", PAGE_SECONDS)

    with ThreadPoolExecutor(max_workers=16) as pool:
        return dict(zip(frontends, pool.map(ask, frontends)))


def settle(frontends: Sequence[str], wanted: Routed, seconds: float) -> list[str]:
    """Wait until every frontend's router has the instances that it should.

    Returns what was noted: frontends that do not answer route nothing, but that has to be said.
    Raises Unconfirmed after `seconds`, and where no frontend answers at all: a line that stands
    alone, then a line a frontend.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = pages(frontends)
        silent = [
            f"{url} does not answer: {page.brief()}"
            for url, page in seen.items()
            if page.status != 200
        ]
        has = {
            url: metrics.registered(page.body) for url, page in seen.items() if page.status == 200
        }
        wrong = [
            f"{url} {what}; it routes to {listed(instances)}"
            for url, instances in has.items()
            for what in [wanted.wrong(set(instances))]
            if what
        ]
        if has and not wrong:
            return silent
        if time.monotonic() > deadline:
            told = [f"after {seconds:.0f} s {(wrong or silent)[0]}", *(wrong + silent)[1:]]
            raise Unconfirmed("\n    ".join(told))
        time.sleep(0.1)


def cordon(etcd: Etcd, namespace: str, worker: Worker, by: dict[str, str | None]) -> list[int]:
    """Take a worker's keys out of discovery; they are kept in a file first.

    by: who does it and why, for that file (by, who, why, run). Returns the instances that were
    taken out, now or before.
    """
    path = marks.cordoned(worker.index)
    before = worker.cordoned or {}
    found = discovery.at(discovery.serving(etcd, namespace), worker.place)
    kept = {entry["key"]: entry for entry in before.get("keys", [])}
    kept.update({entry["key"]: entry for entry in discovery.pack(found)})
    mark = {"since": now(), **by, **{k: before[k] for k in ("since",) if k in before}}
    marks.write(path, {**mark, "invocation": worker.invocation, "keys": list(kept.values())})
    for item in found:
        etcd.delete(item.key)
    return sorted(int(entry["lease"]) for entry in kept.values())


def uncordon(etcd: Etcd, worker: Worker) -> bool:
    """Put a worker's keys back under its lease.

    Returns whether they are there: not where there was no cordon on this process, or its lease
    has ended (it then ends by itself, and registers anew when systemd has started it again).
    """
    mark = worker.cordoned
    back = False
    for entry in (mark or {}).get("keys", []):
        try:
            etcd.put(entry["key"], entry["value"], entry["lease"])
            back = True
        except LeaseGone:
            continue
    marks.remove(marks.cordoned(worker.index))
    return back
