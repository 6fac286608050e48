"""A worker as its host sees it: the unit, its process, its metrics and the marks on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.dynfleet import files, systemd, units
from ansible.module_utils.dynfleet.day2 import marks
from ansible.module_utils.dynfleet.verify import client, metrics

PAGE_SECONDS = 5.0


class PlanError(Exception):
    """There is no plan; the message says why."""


class Unit:
    """A unit of ours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: dict[str, str] = {}
        self.environ = b""  # that its main process was started with
        self.want: str | None = None
        self.have: str | None = None

    def look(self, shown: Mapping[str, str] | None = None) -> None:
        """Read its state anew."""
        self.state = dict(systemd.show([self.name]).get(self.name, {}) if shown is None else shown)
        self.environ = systemd.started_with(self.state)
        self.have = units.running_fingerprint(self.environ)
        self.want = systemd.wanted(self.name)

    @property
    def active(self) -> bool:
        """Whether systemd calls it active: its gate has passed."""
        return self.state.get("ActiveState") == "active"

    @property
    def release(self) -> str:
        """Id of the release that the process was started from: its variable names a part of it."""
        path = units.variable(self.environ, "DYNAMO_RELEASE") or ""
        return path.partition("/releases/")[2].partition("/")[0]

    @property
    def starting(self) -> bool:
        """Whether it has a process that does not serve yet."""
        return self.state.get("ActiveState") in ("activating", "reloading")

    @property
    def invocation(self) -> str:
        """Id of this start of the unit; empty where it was never started."""
        return self.state.get("InvocationID", "")

    @property
    def differs(self) -> bool:
        """Whether it runs with another fingerprint than is wanted, or not at all."""
        return not (self.active or self.starting) or self.have != self.want


class Worker(Unit):
    """A worker of this host's plan."""

    def __init__(self, planned: Mapping[str, Any], address: str) -> None:
        """planned: its entry in the plan. address: that its listeners are bound to."""
        self.index = int(planned["index"])
        super().__init__(f"dynamo-worker@{self.index}.service")
        self.url = f"http://{address}:{planned['ports']['system']}"
        self.place = f"{address}:{planned['ports']['request']}"
        self.gpus = [str(gpu["uuid"]) for gpu in planned["gpus"]]

    def page(self) -> client.Answer:
        """Its metrics."""
        return client.ask(f"{self.url}/metrics", PAGE_SECONDS)

    def health(self) -> client.Answer:
        """What it says of its being ready: HTTP 200 where it is."""
        return client.ask(f"{self.url}/health", PAGE_SECONDS)

    @property
    def drained(self) -> dict[str, Any] | None:
        """The mark of the operator who drained it."""
        return marks.read(marks.drained(self.index))

    @property
    def cordoned(self) -> dict[str, Any] | None:
        """The cordon on its present process."""
        return marks.on_process(marks.read(marks.cordoned(self.index)), self.invocation)


def read_plan(path: str) -> dict[str, Any]:
    """The plan of this host. Raises PlanError where there is none."""
    content = files.read(path)
    if content is None:
        raise PlanError(f"{path} is not there: this host has no workers, or was never deployed")
    try:
        plan = json.loads(content)
        return {"workers": list(plan["workers"]), "source": str(plan.get("source", ""))}
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{path} is not a plan: {type(error).__name__} {error}") from error


def look_at(workers: Sequence[Unit]) -> None:
    """Read the state of several units in one call to systemd."""
    shown = systemd.show([worker.name for worker in workers])
    for worker in workers:
        worker.look(shown.get(worker.name, {}))


def row(worker: Worker) -> dict[str, Any]:
    """A worker's own figures for a table: what its metrics say."""
    page = worker.page() if worker.active or worker.starting else client.Answer(0, "", "")
    return {
        "instance": metrics.served(page.body).instance,
        "requests": metrics.served(page.body).requests,
        "in_flight": metrics.in_flight(page.body),
        "cache_in_use": metrics.cache_in_use(page.body),
        "ready": worker.active and worker.health().status == 200,
    }
