"""A worker's gate: it is ready, every frontend routes to it, and it has served a completion."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.dynfleet.day2 import cards, discovery, routing
from ansible.module_utils.dynfleet.day2.report import Failed, Report, failure
from ansible.module_utils.dynfleet.day2.workers import Worker
from ansible.module_utils.dynfleet.etcd import Etcd
from ansible.module_utils.dynfleet.verify import chat, metrics, requests

CONFIRM_SECONDS = 15.0  # until a frontend has seen what changed in discovery
GATE_TOKENS = 8
RESTARTS = 3  # by systemd, of one start
OUT = "It is out of routing until the same command, run again, has passed it."


class Gate:
    """The gate of one worker. Every step raises Failed with what it asked for and what it saw."""

    def __init__(self, params: Mapping[str, Any], worker: Worker, report: Report) -> None:
        """params: those of module worker_service."""
        self.params, self.worker, self.report = params, worker, report
        self.etcd = Etcd(params["etcd"])
        self.frontends: list[str] = params["frontends"]

    def fail(self, what: str, *, asked: str, seen: str, do: str) -> Failed:
        """The error of a step."""
        instance = self.report.instance
        names = [] if instance is None else [str(instance), f"{instance:x}"]
        message = failure(self.worker.name, what, asked=asked, seen=seen, do=do)
        return Failed(message, [self.worker.place, *names])

    def routed(self, wanted: routing.Routed) -> None:
        """Wait until the frontends route as they should."""
        try:
            self.report.notes += routing.settle(self.frontends, wanted, CONFIRM_SECONDS)
        except routing.Unconfirmed as error:
            raise self._unrouted(wanted, str(error)) from error

    def _unrouted(self, wanted: routing.Routed, seen: str) -> Failed:
        """Why a frontend has another view of a worker, as far as discovery says."""
        unit, place = self.worker.name, self.worker.place
        first = seen.splitlines()[0]
        if wanted.lack:
            return self.fail(
                f"is not taken out of routing: {first}",
                asked=f"no frontend routes to {routing.listed(sorted(wanted.lack))} ({place}): its "
                "key was removed from etcd",
                seen=seen,
                do="look whether that frontend reaches etcd (playbooks/verify.yml; its log), "
                "restart it if it hangs, then run the same command again",
            )
        instance = min(wanted.have)
        asked = f"every frontend routes to {instance} ({place}; in etcd {instance:x})"
        differs = cards.differences(cards.read(self.etcd, self.params["namespace"]), instance)
        if differs:
            return self.fail(
                f"is refused by the frontends, for its model card is not that of the other "
                f"workers: {'; '.join(differs)}",
                asked=asked,
                seen=seen,
                do="a changed card cannot be rolled. Set it back and run the same command again; "
                "or change it with an interruption of the service: stop all workers (ansible "
                "workers -b -a \"systemctl stop 'dynamo-worker@*'\"), then site.yml",
            )
        return self.fail(
            f"serves, but is not routed to: {first}",
            asked=asked,
            seen=seen,
            do=f"look for {instance} in that frontend's log (journalctl -u dynamo-frontend on "
            f"its host), fix what it says of {unit}, then run the same command again",
        )

    def registered(self) -> None:
        """Wait until the worker is ready, in discovery, and routed to."""
        worker, report = self.worker, self.report
        seconds = self.params["gate_seconds"]
        loading = self.params["start_seconds"] if worker.starting else 0
        deadline = time.monotonic() + seconds + loading
        restarts = int(worker.state.get("NRestarts") or 0)
        asked = (
            f"the unit is active, {worker.url}/health answers 200, and etcd has its instance at "
            f"{worker.place}"
        )
        while True:
            worker.look()
            mine = metrics.served(worker.page().body).instance
            found = discovery.serving(self.etcd, self.params["namespace"])
            there = [item.lease for item in discovery.at(found, worker.place)]
            health = worker.health()
            if worker.active and health.status == 200 and mine in there:
                break
            again = int(worker.state.get("NRestarts") or 0) - restarts
            seen = (
                f"the unit is {worker.state.get('ActiveState')} ({worker.state.get('SubState')}), "
                f"restarted {again} times; health says {health.brief()}; its own instance is "
                f"{routing.listed([mine] if mine is not None else [])}, etcd has there "
                f"{routing.listed(there)}"
            )
            if again > RESTARTS:
                raise self.fail(
                    "does not start: it ends again and again",
                    asked=asked,
                    seen=seen,
                    do="fix what its log says, then run the same command again",
                )
            if time.monotonic() > deadline:
                raise self.fail(
                    f"is not in service after {seconds + loading} s",
                    asked=asked,
                    seen=seen,
                    do=f"fix what its log says, then run the same command again. {OUT}",
                )
            time.sleep(0.2)
        report.instance = mine
        self.routed(routing.Routed(have=frozenset({mine})))

    def complete(self) -> None:
        """One real completion through a frontend, by this worker."""
        worker, report = self.worker, self.report
        answering = [url for url, page in routing.pages(self.frontends).items() if page.status]
        url = answering[worker.index % len(answering)] if answering else self.frontends[0]
        wrong: list[str] = []
        for _attempt in range(3):
            body = requests.body(self.params["model"], requests.prompt(20), GATE_TOKENS, False)
            body["nvext"]["backend_instance_id"] = report.instance
            reply = requests.complete(url, body, self.params["gate_seconds"])
            wrong = [
                f"{p['check']} is {p['seen']}, not {p['expected']}"
                for p in chat.problems(reply, GATE_TOKENS, False)
            ]
            if not wrong and reply.worker != report.instance:
                by = "an unknown worker" if reply.worker is None else f"{reply.worker}"
                wrong = [f"served by {by}, not by {report.instance}"]
            if not wrong:
                return
            time.sleep(0.5)
        raise self.fail(
            f"does not complete a request through {url}: {'; '.join(wrong)}",
            asked=f"POST {url}/v1/chat/completions for {GATE_TOKENS} tokens of "
            f"{self.params['model']}, pinned to {report.instance}, three times",
            seen="; ".join(wrong),
            do="fix what its log, or the frontend's, says of that request, then run the same "
            f"command again. {OUT}",
        )
