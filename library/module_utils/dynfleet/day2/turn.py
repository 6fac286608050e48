"""Workers of one host taken out of service and back: drained, serving, restarted.

Every step looks at what is, never at what an earlier run may have done: a run that died is
completed by the next one. What a step waits for is bounded, and the message says what it was.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet import systemd
from ansible.module_utils.dynfleet.day2 import discovery, lock, marks, remains, routing
from ansible.module_utils.dynfleet.day2.workers import Worker, look_at
from ansible.module_utils.dynfleet.etcd import Etcd
from ansible.module_utils.dynfleet.topology import bounded, occupied
from ansible.module_utils.dynfleet.verify import chat, metrics, requests

CONFIRM_SECONDS = 15.0  # until a frontend has seen what changed in discovery
SILENT_SECONDS = 10.0  # a worker whose metrics are silent for so long is hung
FREE_SECONDS = 60.0  # until the driver has given back the memory of a process that ended
ROOM_SECONDS = 60.0  # until workers elsewhere are back
GATE_TOKENS = 8


class Failed(Exception):
    """A worker did not do what it should; the message names it, and how to mend."""


@dataclass
class Report:
    """What was done with one worker."""

    unit: str
    # none, drained, uncordoned, waited for, started, restarted, left drained
    action: str = "none"
    instance: int | None = None
    in_flight: int = 0  # requests that were left to migration when it was stopped
    seconds: dict[str, float] = field(default_factory=dict)  # by step
    notes: list[str] = field(default_factory=list)
    safe_to_stop: bool = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        started = time.monotonic()
        try:
            yield
        finally:
            took = self.seconds.get(name, 0.0) + time.monotonic() - started
            self.seconds[name] = round(took, 2)


class Turn:
    """Some workers of this host that are taken together: normally one."""

    def __init__(self, params: Mapping[str, Any], source: str, workers: Sequence[Worker]) -> None:
        """params: those of module worker_service. source: where the plan's topology is from."""
        self.params = params
        self.recorded = source.startswith("recorded")
        self.workers = list(workers)
        self.etcd = Etcd(params["etcd"])
        self.frontends: list[str] = params["frontends"]
        self.reports = {worker.index: Report(worker.name) for worker in workers}
        self.by = {key: params[key] for key in ("by", "who", "why", "run")}

    def fail(self, worker: Worker, what: str) -> Failed:
        """An error about a worker, with the end of its log."""
        return Failed(
            f"{worker.name} {what}. Its last lines:\n{systemd.journal(worker.name)}\n"
            f"See also: journalctl -u {worker.name}; systemctl status {worker.name}"
        )

    # What is to be done.

    def restarts(self, worker: Worker) -> bool:
        """Whether a worker has to be restarted in this run."""
        done = marks.restarted_by(self.params["run"], worker.name, worker.invocation)
        return worker.differs or (self.params["force"] and not done)

    def plan(self) -> dict[int, str]:
        """The action for each worker, by index; looks, changes nothing."""
        look_at(self.workers)
        return {worker.index: self.action(worker) for worker in self.workers}

    def action(self, worker: Worker) -> str:
        """What a worker needs."""
        state = self.params["state"]
        if state == "drained":
            is_so = worker.drained is not None and (not worker.active or worker.cordoned)
            return "none" if is_so else "drain"
        if worker.drained is not None and self.params["by"] != "operator":
            return "leave drained"
        if state == "restarted" and self.restarts(worker):
            return "restart" if worker.active or worker.starting else "start"
        if worker.differs:
            return "restart" if worker.active or worker.starting else "start"
        if worker.starting:
            return "wait"
        marked = worker.cordoned is not None or worker.drained is not None
        return "uncordon" if marked or self.unfinished(worker) else "none"

    def unfinished(self, worker: Worker) -> bool:
        """Whether a run restarted this process and died before its gate had passed."""
        record = marks.read(marks.rolled(worker.name)) or {}
        return bool(record) and not record.get("finished") and record["replaced"] != ""

    # The verbs.

    def run(self) -> None:
        """Bring the workers to the wanted state."""
        planned = self.plan()
        if self.params["state"] == "drained":
            self.drain([w for w in self.workers if planned[w.index] == "drain"])
            return
        for worker in self.workers:
            if planned[worker.index] == "leave drained":
                self.reports[worker.index].action = "left drained"
        again = [w for w in self.workers if planned[w.index] in ("restart", "start")]
        if again:
            self.restart(again)
        for worker in self.workers:
            if planned[worker.index] in ("uncordon", "wait"):
                self.uncordon(worker)

    def drain(self, workers: list[Worker]) -> None:
        """Mark workers drained and let them finish; they go on running, and get nothing new."""
        for worker in workers:
            self.reports[worker.index].action = "drained"
            if worker.drained is None:
                marks.write(marks.drained(worker.index), {**self.by, "since": routing.now()})
        self.cordon(workers)
        for worker in self.workers:
            report = self.reports[worker.index]
            # A worker that is still starting serves nobody, and would register when it is ready.
            if worker.starting:
                self.stop(worker)
            report.safe_to_stop = not worker.active or self.wait_idle(worker)

    def restart(self, workers: list[Worker]) -> None:
        """Cordon, wait, stop, look that all is free, start, gate; several are down together."""
        self.hold_lock()
        self.wait_room(workers)
        for worker in workers:
            record = marks.read(marks.rolled(worker.name)) or {}
            if record.get("run") != self.params["run"] or record.get("finished"):
                fresh = {"run": self.params["run"], "replaced": worker.invocation}
                marks.write(marks.rolled(worker.name), {**fresh, "finished": None})
        self.cordon(workers)
        for worker in workers:
            if worker.active:
                self.wait_idle(worker)
        down = time.monotonic()
        held = {worker.index: self.shared(worker) for worker in workers}
        for worker in workers:
            self.reports[worker.index].action = (
                "restarted" if worker.active or worker.starting else "started"
            )
            self.stop(worker)
        for worker in workers:
            self.check_free(worker, held[worker.index])
        marked = [worker for worker in workers if worker.drained is not None]
        for worker in marked:
            marks.remove(marks.drained(worker.index))
        self.start(workers)
        for worker in workers:
            self.gate(worker)
            report = self.reports[worker.index]
            report.seconds["out"] = round(time.monotonic() - down, 2)
            self.finish(worker)

    def uncordon(self, worker: Worker) -> None:
        """Put a running worker back into routing."""
        report = self.reports[worker.index]
        report.action = "uncordoned" if worker.active else "waited for"
        marks.remove(marks.drained(worker.index))
        routing.uncordon(self.etcd, worker)
        self.gate(worker)
        if self.unfinished(worker):
            self.finish(worker)

    def finish(self, worker: Worker) -> None:
        """Note that a worker's gate has passed."""
        record = marks.read(marks.rolled(worker.name)) or {}
        seconds = self.reports[worker.index].seconds
        marks.write(
            marks.rolled(worker.name), {**record, "finished": routing.now(), "seconds": seconds}
        )
        marks.remove(marks.cordoned(worker.index))

    # The steps.

    def hold_lock(self) -> None:
        """Renew the roll's lock; stops where the roll has ended elsewhere."""
        if self.params["run"] is not None:
            lock.hold(self.etcd, self.params["run"])

    def wait_room(self, workers: Sequence[Worker]) -> None:
        """Wait until enough others serve, unless none of these does. Raises Failed."""
        floor = self.params["floor"]
        places = {worker.place for worker in workers if worker.active}
        deadline = time.monotonic() + ROOM_SECONDS
        while floor:
            found = discovery.serving(self.etcd, self.params["namespace"])
            mine = {item.key for place in places for item in discovery.at(found, place)}
            others = len({item.key for item in found} - mine)
            # Where none of these serves, their turn takes nobody out of service.
            if not mine or others >= floor:
                return
            if time.monotonic() > deadline:
                raise Failed(
                    f"{', '.join(w.name for w in workers)} was not touched: {others} other workers "
                    f"are in service, {floor} have to be (roll_max_out)"
                )
            time.sleep(1)

    def cordon(self, workers: Sequence[Worker]) -> None:
        """Take workers out of routing, and see at every frontend that they are."""
        for worker in workers:
            report = self.reports[worker.index]
            with report.step("cordon"):
                out = routing.cordon(self.etcd, self.params["namespace"], worker, self.by)
                report.instance = max(out, default=None)
                report.notes += self.settled(worker, set(out).isdisjoint)

    def settled(self, worker: Worker, good: Callable[[set[int]], bool]) -> list[str]:
        """Wait until the frontends agree. Raises Failed."""
        try:
            return routing.settle(self.frontends, good, CONFIRM_SECONDS)
        except routing.Unconfirmed as error:
            raise Failed(f"{worker.name}: {error}") from error

    def wait_idle(self, worker: Worker) -> bool:
        """Wait until nothing is in flight; what is left then is left to migration.

        Returns whether it is idle. A worker whose metrics are silent is hung: nobody waits.
        """
        report = self.reports[worker.index]
        with report.step("drain"):
            now = time.monotonic()
            deadline, heard, idle = now + self.params["drain_seconds"], now, 0
            left: int | None = None
            while True:
                page = worker.page()
                left = metrics.in_flight(page.body)
                now = time.monotonic()
                if left is not None:
                    heard = now
                # Twice: a request may be on its way from a frontend that had chosen already.
                idle = idle + 1 if left == 0 else 0
                if idle == 2:
                    report.in_flight = 0
                    return True
                if now - heard > SILENT_SECONDS:
                    report.notes.append(f"it does not answer ({page.brief()}): not waited for")
                    return False
                if now > deadline:
                    report.in_flight = left or 0
                    report.notes.append(
                        f"{left} requests were still running after "
                        f"{self.params['drain_seconds']} s: they migrate when it stops"
                    )
                    return False
                time.sleep(0.2)

    def shared(self, worker: Worker) -> set[str]:
        """The shared memory of its processes."""
        group = worker.state.get("ControlGroup", "")
        return remains.shared_memory(remains.processes(group))

    def stop(self, worker: Worker) -> None:
        """Stop its unit: SIGTERM, at last SIGKILL to all that is left of its control group."""
        with self.reports[worker.index].step("stop"):
            self.systemctl(worker, "stop", self.params["stop_seconds"])

    def systemctl(self, worker: Worker, verb: str, seconds: float) -> None:
        """Stop or start a unit. Raises Failed."""
        try:
            done = systemd.systemctl(verb, worker.name, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise self.fail(worker, f"did not {verb} within {seconds:.0f} s") from None
        if done.returncode != 0:
            said = (done.stderr.strip() or "systemctl says no more").splitlines()[0].rstrip(".")
            raise self.fail(worker, f"did not {verb}: {said}")

    def check_free(self, worker: Worker, held: set[str]) -> None:
        """See that GPU memory and shared memory of a stopped worker are free. Raises Failed."""
        report = self.reports[worker.index]
        with report.step("free"):
            left = remains.processes(worker.state.get("ControlGroup", ""))
            if left:
                raise self.fail(worker, f"has stopped, but its processes {left} are still there")
            orphans = held - remains.shared_memory(remains.everyone())
            for name in sorted(path for path in orphans if Path(path).exists()):
                Path(name).unlink(missing_ok=True)
                report.notes.append(f"removed {name}, which it had left behind")
            if self.recorded:
                report.notes.append("GPU memory not looked at: the topology is a recorded one")
                return
            deadline = time.monotonic() + FREE_SECONDS
            while True:
                holders = self.holders(worker)
                if not holders:
                    return
                if time.monotonic() > deadline:
                    names = "; ".join(f"{h.gpu}: {h.name} (pid {h.pid}) {h.mib}" for h in holders)
                    raise self.fail(
                        worker,
                        f"was stopped and not started again: memory of its GPUs is still held "
                        f"after {FREE_SECONDS:.0f} s: {names}. End these processes, then run again",
                    )
                time.sleep(1)

    def holders(self, worker: Worker) -> list[occupied.Holder]:
        """Who holds memory of its GPUs. Raises Failed where the driver does not say."""
        try:
            return occupied.holders(worker.gpus, seconds=20)
        except (bounded.Hung, bounded.Failed) as error:
            raise self.fail(
                worker, f"was stopped and not started again, the driver does not answer: {error}"
            ) from error

    def start(self, workers: Sequence[Worker]) -> None:
        """Start units together; systemctl returns when their gates (ExecStartPost) have passed."""
        names = [worker.name for worker in workers]
        systemd.systemctl("reset-failed", *names)
        if len(workers) > 1:
            systemd.systemctl("start", "--no-block", *names)
        for worker in workers:
            with self.reports[worker.index].step("start"):
                self.systemctl(worker, "start", self.params["start_seconds"])
        look_at(workers)

    def gate(self, worker: Worker) -> None:
        """Ready, registered at every frontend, and one completion that it served. Raises Failed.

        A worker that fails here is taken out of routing again, and stays out until a run's
        gate passes.
        """
        report = self.reports[worker.index]
        try:
            with report.step("gate"):
                self.wait_registered(worker, report)
                self.complete(worker, report)
        except Failed:
            routing.cordon(
                self.etcd, self.params["namespace"], worker, {**self.by, "why": "its gate failed"}
            )
            raise

    def wait_registered(self, worker: Worker, report: Report) -> None:
        """Wait until the worker is ready and every frontend has it."""
        loading = self.params["start_seconds"] if worker.starting else 0
        deadline = time.monotonic() + self.params["gate_seconds"] + loading
        restarts = int(worker.state.get("NRestarts") or 0)
        while True:
            worker.look()
            if int(worker.state.get("NRestarts") or 0) - restarts > 3:
                raise self.fail(worker, "does not start")
            mine = metrics.served(worker.page().body).instance
            found = discovery.serving(self.etcd, self.params["namespace"])
            there = [item.lease for item in discovery.at(found, worker.place)]
            if worker.active and worker.healthy() and mine in there:
                break
            if time.monotonic() > deadline:
                raise self.fail(
                    worker,
                    f"is not in service after {self.params['gate_seconds']} s (state "
                    f"{worker.state.get('SubState')}, instance {mine}, registered: {there})",
                )
            time.sleep(0.2)
        report.instance = mine
        report.notes += self.settled(worker, {mine}.issubset)

    def complete(self, worker: Worker, report: Report) -> None:
        """One real completion through a frontend, by this worker. Raises Failed."""
        answering = [url for url, page in routing.pages(self.frontends).items() if page.status]
        url = answering[worker.index % len(answering)] if answering else self.frontends[0]
        wrong: list[str] = []
        for _attempt in range(3):
            body = requests.body(self.params["model"], requests.prompt(20), GATE_TOKENS, False)
            body["nvext"]["backend_instance_id"] = report.instance
            reply = requests.complete(url, body, self.params["gate_seconds"])
            wrong = [f"{p['check']}: {p['seen']}" for p in chat.problems(reply, GATE_TOKENS, False)]
            if not wrong and reply.worker != report.instance:
                wrong = [f"served by {reply.worker}, not by {report.instance}"]
            if not wrong:
                return
            time.sleep(0.5)
        raise self.fail(
            worker,
            f"does not complete a request through {url} ({'; '.join(wrong)}); it is cordoned",
        )
