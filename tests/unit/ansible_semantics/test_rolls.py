"""What Ansible itself does when a host fails in a rolling play.

The rolls rest on these. Several are not what their names promise, so that a change of
ansible-core that changes one has to be seen here, not on a fleet. Four hosts that are only
names; "restarted" is a task that ran.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import ansible_runner
import pytest

HOSTS = ["n1", "n2", "n3", "n4"]


class Seen(NamedTuple):
    """What a run did."""

    rc: int
    restarted: list[str]  # hosts whose task "Restart" ran well; those of a batch in any order
    handled: list[str]  # hosts whose handler ran
    once: int  # how often the task "Once" ran


def debug(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.debug": {"msg": name}, **more}


def gate(**more: Any) -> dict[str, Any]:
    """A restart that fails on the first host."""
    return {
        "name": "Restart",
        "ansible.builtin.assert": {"that": "inventory_hostname != 'n1'"},
        **more,
    }


def play(tasks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"name": "Roll", "hosts": "all", "gather_facts": False, "tasks": tasks, **more}


NOTIFY = debug("Change", changed_when=True, notify="Handle")
HANDLER = [debug("Handle")]
UNREACHABLE = {"name": "Restart", "ansible.builtin.raw": "true"}
FATAL = {"any_errors_fatal": True}
TOLERANT = {"max_fail_percentage": 0}
PLAYS: dict[str, list[dict[str, Any]]] = {
    "serial 1, any_errors_fatal": [play([gate()], serial=1, **FATAL)],
    "serial 1, max_fail_percentage 0": [play([gate()], serial=1, **TOLERANT)],
    "gate in a handler": [
        play(
            [debug("Change", changed_when=True, notify="Restart")],
            handlers=[gate()],
            serial=1,
            **FATAL,
        )
    ],
    "unreachable": [play([UNREACHABLE], serial=1)],
    "serial 2, partner's handlers": [
        play([NOTIFY, gate()], handlers=HANDLER, serial=2, **TOLERANT)
    ],
    "force_handlers, max_fail_percentage 0": [
        play([NOTIFY, gate()], handlers=HANDLER, serial=2, force_handlers=True, **TOLERANT)
    ],
    "force_handlers, any_errors_fatal": [
        play([NOTIFY, gate()], handlers=HANDLER, serial=2, force_handlers=True, **FATAL)
    ],
    "throttle": [play([gate(throttle=1)], **FATAL)],
    "looped include": [
        play(
            [
                {
                    "name": "Each",
                    "ansible.builtin.include_tasks": "restart.yml",
                    "loop": HOSTS,
                    "when": "inventory_hostname == item",
                }
            ],
        )
    ],
    "rescue without fail": [
        play([{"name": "Try", "block": [gate()], "rescue": [debug("Swallow")]}], serial=1, **FATAL)
    ],
    "rescue with fail": [
        play(
            [
                {
                    "name": "Try",
                    "block": [gate()],
                    "rescue": [
                        debug("Once"),
                        {"name": "End", "ansible.builtin.fail": {"msg": "ended"}},
                    ],
                }
            ],
            serial=2,
            **FATAL,
        )
    ],
    "run_once": [play([debug("Once", run_once=True), debug("Restart")], serial=2)],
    "loop": [
        play(
            [
                {
                    "name": "Restart",
                    "ansible.builtin.assert": {"that": "item != 2"},
                    "loop": [1, 2, 3],
                    "register": "turn",
                    "ignore_errors": True,
                },
                debug("Once", loop="{{ turn.results }}"),
            ],
            hosts="n1",
        )
    ],
    "loop, break_when": [
        play(
            [
                {
                    "name": "Restart",
                    "ansible.builtin.assert": {"that": "item != 2"},
                    "loop": [1, 2, 3],
                    "loop_control": {"break_when": ["turn is failed"]},
                    "register": "turn",
                    "ignore_errors": True,
                },
                debug("Once", loop="{{ turn.results }}"),
            ],
            hosts="n1",
        )
    ],
    "order and batches from a result": [
        play(
            [
                {
                    "name": "Plan",
                    "ansible.builtin.set_fact": {"plan": {"order": ["n3", "n1"], "serial": [1, 2]}},
                    "run_once": True,
                }
            ]
        ),
        play(
            [debug("Once", run_once=True), debug("Restart")],
            hosts="{{ hostvars['n1'].plan.order }}",
            serial="{{ hostvars['n1'].plan.serial }}",
        ),
    ],
}


def run(directory: Path, plays: list[dict[str, Any]], hosts: dict[str, Any]) -> Seen:
    """Run a playbook on hosts that are names only."""
    directory.mkdir()
    (directory / "ansible.cfg").write_text("[defaults]\n")
    (directory / "play.yml").write_text(json.dumps(plays))
    (directory / "restart.yml").write_text(json.dumps([gate()]))
    done = ansible_runner.run(
        private_data_dir=str(directory),
        project_dir=str(directory),
        playbook="play.yml",
        inventory={"all": {"hosts": hosts}},
        envvars={"ANSIBLE_CONFIG": str(directory / "ansible.cfg"), "ANSIBLE_SSH_RETRIES": "0"},
        quiet=True,
        timeout=120,
    )
    tasks: dict[str, list[str]] = {"Restart": [], "Handle": [], "Once": []}
    for event in done.events:
        data = event["event_data"]
        # A looped task is told an item each, and then as a whole.
        whole = event["event"] == "runner_on_ok" and "results" not in data["res"]
        if whole or event["event"] == "runner_item_on_ok":
            tasks.setdefault(data["task"], []).append(data["host"])
    return Seen(done.rc, tasks["Restart"], tasks["Handle"], len(tasks["Once"]))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """What each of the plays did."""
    place = tmp_path_factory.mktemp("semantics")
    local = {name: {"ansible_connection": "local"} for name in HOSTS}
    gone = {
        **local,
        "n1": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
    }

    def one(number: int, name: str) -> Seen:
        return run(place / str(number), PLAYS[name], gone if name == "unreachable" else local)

    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(PLAYS, pool.map(one, range(len(PLAYS)), PLAYS)))


@pytest.mark.parametrize(
    "name",
    ["serial 1, any_errors_fatal", "serial 1, max_fail_percentage 0", "gate in a handler"],
)
def test_these_stop_with_the_rest_untouched(seen: dict[str, Seen], name: str) -> None:
    assert seen[name] == Seen(2, [], [], 0)


def test_an_unreachable_host_stops_a_roll(seen: dict[str, Seen]) -> None:
    assert seen["unreachable"] == Seen(4, [], [], 0)


def test_a_failure_leaves_the_partner_changed_and_not_restarted(seen: dict[str, Seen]) -> None:
    assert seen["serial 2, partner's handlers"] == Seen(2, ["n2"], [], 0)


def test_force_handlers_needs_any_errors_fatal(seen: dict[str, Seen]) -> None:
    goes_on = seen["force_handlers, max_fail_percentage 0"].restarted
    assert (goes_on[0], sorted(goes_on[1:])) == ("n2", ["n3", "n4"])
    stops = seen["force_handlers, any_errors_fatal"]
    assert (stops.restarted, sorted(stops.handled)) == (["n2"], ["n1", "n2"])


@pytest.mark.parametrize("name", ["throttle", "looped include"])
def test_these_do_not_roll(seen: dict[str, Seen], name: str) -> None:
    assert sorted(seen[name].restarted) == ["n2", "n3", "n4"]
    assert seen[name].rc == 2


def test_a_rescue_that_does_not_fail_hides_the_failure(seen: dict[str, Seen]) -> None:
    assert seen["rescue without fail"] == Seen(0, ["n2", "n3", "n4"], [], 0)


def test_a_rescue_that_fails_stops_the_roll(seen: dict[str, Seen]) -> None:
    assert seen["rescue with fail"].rc == 2
    assert seen["rescue with fail"].restarted == ["n2"]
    assert seen["rescue with fail"].once >= 1


def test_run_once_is_once_a_batch(seen: dict[str, Seen]) -> None:
    assert seen["run_once"].once == 2


def test_a_loop_goes_on_after_a_failed_item_unless_told(seen: dict[str, Seen]) -> None:
    assert seen["loop"].once == 3
    assert seen["loop, break_when"].once == 2


def test_order_and_batches_may_come_from_an_earlier_play(seen: dict[str, Seen]) -> None:
    assert seen["order and batches from a result"] == Seen(0, ["n3", "n1"], [], 2)
