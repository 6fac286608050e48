#!/usr/bin/python
"""Ansible module: restart one unit that serves all, and wait until it serves again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_restart
short_description: Restart a unit of the control plane or a frontend, and see it back in service
description:
  - Restarts the unit where it does not run with the wanted fingerprint, or with O(force), once in
    a run; then waits for its gate (systemd calls it active), for its health endpoint, and for the
    wanted number of workers at a frontend's router.
  - One that serves is restarted only while O(needed) other O(members) do; a leader of etcd hands
    over first.
  - What is, is looked at first; a run that died at any point is completed by the next one.
attributes:
  check_mode:
    description: Says whether it would be restarted.
    support: full
  diff_mode:
    description: Shows the restart.
    support: full
options:
  unit:
    description: Full unit name.
    type: str
    required: true
  force:
    description: Restart it though it runs as wanted, once in a run.
    type: bool
    default: false
  run:
    description: Id of the roll. It has to hold the lock in etcd.
    type: str
  etcd:
    description: Client URLs of etcd.
    type: list
    elements: str
    required: true
  url:
    description: Health endpoint; it has to answer 200.
    type: str
    required: true
  answer:
    description: Fields that the endpoint's JSON has to have, with their values.
    type: dict
    default: {}
  namespace:
    description: >-
      Namespace in discovery. With it the unit is a frontend, whose router has to have every
      worker that is in service.
    type: str
  group:
    description: What the unit is one of; with it O(members) are asked.
    type: str
    choices: [etcd, nats, frontends]
  members:
    description: By host, C(url) and C(answer) of every member of the group.
    type: dict
    default: {}
  needed:
    description: How many other members have to serve while this one restarts.
    type: int
    default: 0
  seconds:
    description: Seconds that stopping and starting may take together.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Restart the frontend
  unit_restart:
    unit: dynamo-frontend.service
    run: 20260105T100000Z-a1b2c3
    etcd: ["http://10.0.0.5:2379"]
    url: http://10.0.0.5:8000/health
    answer: {status: healthy}
    namespace: dynamo
    group: frontends
    members:
      control1: {url: "http://10.0.0.5:8000/health", answer: {status: healthy}}
      control2: {url: "http://10.0.0.6:8000/health", answer: {status: healthy}}
    needed: 1
"""

RETURN = r"""
restarted:
  description: Whether it was restarted.
  type: bool
  returned: always
seconds:
  description: Seconds of the restart, until it served again or was given up.
  type: float
  returned: always
away:
  description: When the restart began and when it served again, in seconds since the epoch.
  type: list
  elements: float
  returned: where it was restarted
leader:
  description: The host that took over the leadership of etcd; empty where there was none to move.
  type: str
  returned: always
"""

import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import discovery, lock, marks, members, routing, unforeseen
from ansible.module_utils.dynfleet.day2.report import failure
from ansible.module_utils.dynfleet.day2.workers import Unit
from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError
from ansible.module_utils.dynfleet.systemd import show, systemctl
from ansible.module_utils.dynfleet.verify import client, units

SERVE_SECONDS = 60.0
PEER_SECONDS = 120.0  # until enough others serve


class Failed(Exception):
    """The unit is not back; the message says what was seen.

    asked: what was asked of it. do: what to do about it.
    """

    def __init__(self, what: str, asked: str = "", do: str = "") -> None:
        super().__init__(what)
        self.asked, self.do = asked, do


def wanted(params: dict[str, Any], unit: Unit) -> bool:
    """Whether the unit has to be restarted."""
    done = marks.restarted_by(params["run"], unit.name, unit.invocation)
    return unit.differs or (params["force"] and not done)


def make_way(params: dict[str, Any], unit: Unit) -> str:
    """Wait until enough others serve, and hand leadership over to one of them; the host of that.

    One that does not serve takes nobody out of service: it is started. Raises members.Short.
    """
    mine = {"url": params["url"], "answer": params["answer"]}
    if not (params["group"] and unit.active) or members.unhealthy(mine):
        return ""
    every: dict[str, Any] = params["members"]
    members.wait_enough(params["group"], every, params["url"], params["needed"], PEER_SECONDS)
    others = {name: member for name, member in every.items() if member["url"] != params["url"]}
    return members.hand_over(params["group"], mine, others)


def restart(params: dict[str, Any], unit: Unit) -> None:
    """Restart it; systemctl returns after its gate. Raises Failed."""
    if params["run"] is not None:
        lock.hold(Etcd(params["etcd"]), params["run"])
    record = {"run": params["run"], "replaced": unit.invocation, "finished": None}
    marks.write(marks.rolled(unit.name), record)
    systemctl("reset-failed", unit.name)
    try:
        done = systemctl("restart", unit.name, timeout=params["seconds"])
    except subprocess.TimeoutExpired:
        raise Failed(f"was not ready within {params['seconds']} s of its restart") from None
    if done.returncode != 0 and not came_back(unit.name, params["seconds"]):
        said = (done.stderr.strip() or "systemctl says no more").splitlines()[0].rstrip(".")
        raise Failed(f"did not restart: {said}")


def came_back(name: str, seconds: float) -> bool:
    """Whether a unit whose start failed is active after one more, which systemd makes by itself.

    A NATS server that comes back in the moment in which its cluster chooses another leader may
    never catch up with it ("not current with the meta leader", seen on 2.10.27); the next start
    does.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = show([name])[name]
        if state["ActiveState"] == "active":
            return True
        # Starts by systemd itself since the last one by hand; "activating" is also between two.
        if state["ActiveState"] != "activating" or int(state.get("NRestarts") or 0) > 1:
            return False
        time.sleep(0.5)
    return False


def wait_serving(params: dict[str, Any]) -> None:
    """Wait for its health, and at a frontend for the workers. Raises Failed."""
    deadline = time.monotonic() + SERVE_SECONDS
    while True:
        answer = client.ask(params["url"], 5.0)
        if units.healthy(answer.status, answer.document(), params["answer"]):
            break
        if time.monotonic() > deadline:
            fields = "".join(f", {key} {value}" for key, value in params["answer"].items())
            raise Failed(
                f"does not serve: {params['url']} says {answer.brief()}",
                f"HTTP 200{fields} within {SERVE_SECONDS:.0f} s of its start",
            )
        time.sleep(0.2)
    if params["namespace"]:
        serving = discovery.serving(Etcd(params["etcd"]), params["namespace"])
        there = frozenset(item.lease for item in serving)
        try:
            routing.settle([members.base(params["url"])], routing.Routed(have=there), SERVE_SECONDS)
        except routing.Unconfirmed as error:
            raise Failed(
                f"does not route to every worker: {error}",
                f"its router has every worker that etcd has: {routing.listed(sorted(there))}",
                "look in its log for the workers that it lacks: one with another model card than "
                "that of its first worker is refused (worker_block_size, worker_max_model_len)",
            ) from error


def finish(name: str, seconds: float | None) -> None:
    """Note that a unit serves again. seconds: of its restart, None where there was none."""
    record = marks.read(marks.rolled(name))
    if record is None:
        return
    took = {} if seconds is None else {"seconds": {"out": seconds}}
    marks.write(marks.rolled(name), {**record, **took, "finished": routing.now()})


def turn(module: AnsibleModule, unit: Unit) -> dict[str, Any]:
    """Restart the unit where it has to be; the module's result.

    Raises Failed, members.Short, EtcdError and lock.Stopped.
    """
    params: dict[str, Any] = module.params
    unit.look()
    needed = wanted(params, unit)
    result: dict[str, Any] = {"restarted": needed, "seconds": 0.0, "leader": ""}
    if module.check_mode:
        return result
    if needed:
        result["leader"] = make_way(params, unit)
    began, clock = time.time(), time.monotonic()
    if needed:
        restart(params, unit)
    wait_serving(params)
    result["seconds"] = round(time.monotonic() - clock, 2)
    if needed:
        result["away"] = [began, time.time()]
    finish(unit.name, result["seconds"] if needed else None)
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "force": {"type": "bool", "default": False},
            "run": {"type": "str"},
            "etcd": {"type": "list", "elements": "str", "required": True},
            "url": {"type": "str", "required": True},
            "answer": {"type": "dict", "default": {}},
            "namespace": {"type": "str"},
            "group": {"type": "str", "choices": ["etcd", "nats", "frontends"]},
            "members": {"type": "dict", "default": {}},
            "needed": {"type": "int", "default": 0},
            "seconds": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    unit = Unit(params["unit"])
    started = time.monotonic()

    def passed() -> float:
        return round(time.monotonic() - started, 2)

    try:
        with lock.ended_by_failure(
            params["etcd"], None if module.check_mode else params["run"], unit.name
        ):
            result = turn(module, unit)
    except members.Short as error:
        module.fail_json(msg=f"{unit.name} {error}", seconds=passed())
    except (EtcdError, lock.Stopped) as error:
        module.fail_json(msg=f"{unit.name} was not restarted: {error}", seconds=passed())
    except Failed as error:
        unit.look()
        state = unit.state
        msg = failure(
            unit.name,
            str(error),
            asked=error.asked or "systemd calls it active: its readiness gate has passed",
            seen=f"{error}; the unit is {state.get('ActiveState')} ({state.get('SubState')})",
            do=error.do or "fix what its log says, then run the same command again: it begins here",
        )
        module.fail_json(msg=msg, seconds=passed())
    except Exception as error:
        told = unforeseen.told(error, f"The restart of {unit.name}")
        module.fail_json(msg=told, seconds=passed())
    else:
        module.exit_json(
            changed=result["restarted"],
            **result,
            diff={"prepared": f"restart {unit.name}\n"} if result["restarted"] else {},
        )


if __name__ == "__main__":
    main()
