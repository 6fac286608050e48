"""Workers of one host taken out of service and back: drained, serving, restarted.

Every step looks at what is, never at what an earlier run may have done: a run that died is
completed by the next one. What a step waits for is bounded, and the message says what it was.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet import nofollow, systemd
from ansible.module_utils.dynfleet.day2 import discovery, idle, lock, marks, remains, routing
from ansible.module_utils.dynfleet.day2.gate import Gate
from ansible.module_utils.dynfleet.day2.report import Failed, Report, failure
from ansible.module_utils.dynfleet.day2.workers import Worker, look_at
from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError
from ansible.module_utils.dynfleet.topology import bounded, occupied

FREE_SECONDS = 60.0  # until the driver has given back the memory of a process that ended
ROOM_SECONDS = 60.0  # until workers elsewhere are back


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

    def fail(self, worker: Worker, what: str, *, asked: str, seen: str, do: str) -> Failed:
        """The error of a step."""
        return Failed(failure(worker.name, what, asked=asked, seen=seen, do=do))

    def passage(self, worker: Worker) -> Gate:
        """The gate of a worker."""
        return Gate(self.params, worker, self.reports[worker.index])

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
                # Its ExecStop drains, too, unless it is told that this was done.
                if worker.cordoned:
                    mark = {**worker.cordoned, "waited": True}
                    marks.write(marks.cordoned(worker.index), mark)
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
                self.passage(worker).routed(routing.Routed(lack=frozenset(out)))

    def wait_idle(self, worker: Worker) -> bool:
        """Wait until nothing is in flight; what is left then is left to migration.

        Returns whether it is idle. A worker whose metrics are silent is hung: nobody waits.
        """
        report = self.reports[worker.index]
        with report.step("drain"):
            waited = idle.wait(worker.page, self.params["drain_seconds"])
        report.in_flight = waited.left
        if waited.left:
            report.notes.append(f"{waited.why}: they migrate when it stops")
        elif waited.why:
            report.notes.append(waited.why)
        return waited.idle

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
            seen = f"no answer within {seconds:.0f} s; systemctl list-jobs says what it waits for"
            what = f"did not {verb} within {seconds:.0f} s"
        else:
            if done.returncode == 0:
                return
            seen = (done.stderr.strip() or "systemctl says no more").splitlines()[0].rstrip(".")
            what = f"did not {verb}: {seen}"
        worker.look()
        state = f"{worker.state.get('ActiveState')} ({worker.state.get('SubState')})"
        raise self.fail(
            worker,
            what,
            asked=f"systemctl {verb} {worker.name}"
            + (", which passes when its readiness gate has" if verb == "start" else ""),
            seen=f"{seen}; the unit is {state}",
            do="fix what its log says, then run the same command again: it begins with this worker",
        )

    def check_free(self, worker: Worker, held: set[str]) -> None:
        """See that GPU memory and shared memory of a stopped worker are free. Raises Failed."""
        report = self.reports[worker.index]
        with report.step("free"):
            left = remains.processes(worker.state.get("ControlGroup", ""))
            if left:
                raise self.fail(
                    worker,
                    f"has stopped, but its processes {left} are still there",
                    asked="no process is left in its control group",
                    seen=f"{', '.join(map(str, left))} (ps -o pid,stat,wchan,args -p PID)",
                    do="end them (kill -9); in state D they wait for the kernel or the driver, and "
                    "only a reboot ends them. Then run the same command again",
                )
            orphans = held - remains.shared_memory(remains.everyone())
            for name in sorted(path for path in orphans if Path(path).exists()):
                try:
                    nofollow.unlink(name)
                except nofollow.UnsafePath as error:
                    report.notes.append(f"left behind: {error}")
                    continue
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
                        f"after {FREE_SECONDS:.0f} s: {names}",
                        asked=f"no process holds memory of {', '.join(worker.gpus)} (nvidia-smi)",
                        seen=names,
                        do="end these processes, then run the same command again",
                    )
                time.sleep(1)

    def holders(self, worker: Worker) -> list[occupied.Holder]:
        """Who holds memory of its GPUs. Raises Failed where the driver does not say."""
        try:
            return occupied.holders(worker.gpus, seconds=20)
        except (bounded.Hung, bounded.Failed) as error:
            raise self.fail(
                worker,
                f"was stopped and not started again, the driver does not answer: {error}",
                asked=f"nvidia-smi says who holds memory of {', '.join(worker.gpus)}",
                seen=str(error),
                do="look at the driver (nvidia-smi; dmesg | grep -i xid), then run the same "
                "command again",
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
        passage = self.passage(worker)
        try:
            with passage.report.step("gate"):
                passage.registered()
                passage.complete()
        except Exception:
            by = {**self.by, "why": "its gate failed"}
            with suppress(EtcdError):  # the reason of the failure is what has to be told
                routing.cordon(self.etcd, self.params["namespace"], worker, by)
            raise
