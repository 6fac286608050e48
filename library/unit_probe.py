#!/usr/bin/python
"""Ansible module: how a host's units are, and every TCP socket that listens there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_probe
short_description: Look at a host's units, their health and the listening sockets
description:
  - One call reads the state of every expected unit, compares the fingerprint of its process with
    the wanted one in C(/etc/dynamo/fingerprint/UNIT.env), asks its health endpoint, and lists all
    listening TCP sockets of the host with process and unit.
  - The workers of a host are taken from its plan.
  - Units of ours that are loaded but not expected are looked at too.
  - A unit that is not well, was restarted by systemd, or is one of O(suspects) comes with the
    lines of its log that matter.
  - Reads only; what is wrong is part of the result, never a failure of the task.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  units:
    description: Units expected on this host, besides the workers of the plan.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Full unit name.
        type: str
        required: true
      url:
        description: Health endpoint; it has to answer 200. Without it none is asked.
        type: str
      answer:
        description: Fields that the endpoint's JSON has to have, with their values.
        type: dict
        default: {}
  plan:
    description: Path of the plan of this host's workers. Without it the host has no workers.
    type: path
  address:
    description: Address that the workers' system servers are bound to.
    type: str
    default: ""
  suspects:
    description: Units whose log lines are wanted though they may look well.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at the frontend and the workers of this host
  unit_probe:
    units:
      - name: dynamo.target
      - name: dynamo-frontend.service
        url: http://10.0.0.5:8000/health
    plan: /etc/dynamo/plan.json
    address: 10.0.0.5
  register: seen
"""

RETURN = r"""
units:
  description: Expected units, then loaded ones that nobody expects.
  type: list
  elements: dict
  returned: always
  contains:
    name: {description: Unit name., type: str}
    expected: {description: Whether the unit belongs on this host., type: bool}
    load: {description: LoadState., type: str}
    active: {description: ActiveState., type: str}
    sub: {description: SubState., type: str}
    result: {description: Result of the last run., type: str}
    enabled: {description: Whether it is started at boot., type: bool}
    stale_definition: {description: Changed on disk without a daemon-reload., type: bool}
    restarts: {description: Restarts by systemd since the last manual start., type: int}
    pid: {description: Main process; 0 without one., type: int}
    since: {description: Since when it is in this state., type: str}
    want: {description: Wanted fingerprint; null without a file., type: str}
    have: {description: Fingerprint of the main process., type: str}
    health: {description: "url, wanted, seen and ok of the health endpoint.", type: dict}
    flapping: {description: How often systemd restarted it lately; may be empty., type: str}
    alarms: {description: Alarms of an etcd that is not healthy., type: list, elements: str}
    drained: {description: "By whom, since when and why a worker is drained.", type: str}
    log: {description: Lines of the log that matter., type: list, elements: str}
workers:
  description: The plan's workers that are active, healthy and not drained, with unit and base url.
  type: list
  elements: dict
  returned: always
ports:
  description: Ports by worker index, as in the plan.
  type: dict
  returned: always
plan_error:
  description: Why there is no plan; empty where there is one or none is wanted.
  type: str
  returned: always
releases:
  description: Ids of the releases that current, good and previous are; empty where there is none.
  type: dict
  returned: always
sockets:
  description: Listening TCP sockets with address, port, pid, process and unit.
  type: list
  elements: dict
  returned: always
"""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import files, flapping, systemd, unit_names
from ansible.module_utils.dynfleet import units as unitset
from ansible.module_utils.dynfleet.day2 import marks
from ansible.module_utils.dynfleet.release import links
from ansible.module_utils.dynfleet.verify import alarms, client, listeners, units

PROPERTIES = (*unitset.SHOW_PROPERTIES, "Result", "StateChangeTimestamp")
OURS = "dynamo-*.service"
HEALTH_SECONDS = 5.0
# A store whose disk stalls for a moment (etcd while a release is written beside it) answers the
# next question: only what stays sick is a finding.
PATIENCE_SECONDS = 10.0
COMMAND_SECONDS = 20.0
LOG_LINES = 200


def run(*command: str) -> str:
    """Output of a command; what it says on stderr instead where it fails or hangs."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {COMMAND_SECONDS:.0f} s: {' '.join(command)}"
    return done.stdout if done.returncode == 0 else done.stderr


def read_plan(path: str) -> tuple[dict[str, dict[str, int]], str]:
    """Ports by worker index (as text), and why there are none."""
    content = files.read(path)
    if content is None:
        return {}, "no such file"
    try:
        workers = json.loads(content)["workers"]
        ports = {str(worker["index"]): dict(worker["ports"]) for worker in workers}
        return {index: {**row, "system": int(row["system"])} for index, row in ports.items()}, ""
    except (ValueError, KeyError, TypeError) as error:
        return {}, f"not a plan: {type(error).__name__} {error}"


def add_fingerprints(unit: dict[str, Any], shown: dict[str, str]) -> None:
    """Wanted fingerprint of a service by its file, and that of its process.

    shown: what systemd says of it.
    """
    if not unit["expected"] or not unit["name"].endswith(".service"):
        return
    unit["want"] = systemd.wanted(unit["name"])
    unit["have"] = systemd.running(shown)


def add_health(unit: dict[str, Any], url: str, answer: dict[str, str]) -> None:
    """Ask the health endpoint of a unit that is active, until it is healthy or stays sick."""
    if unit["active"] != "active":
        return
    deadline = time.monotonic() + PATIENCE_SECONDS
    got = client.ask(url, HEALTH_SECONDS)
    while not (ok := units.healthy(got.status, got.document(), answer)):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
        got = client.ask(url, HEALTH_SECONDS)
    fields = "".join(f", {key} {value}" for key, value in answer.items())
    unit["health"] = {
        "url": url,
        "wanted": f"HTTP 200{fields}",
        "seen": got.brief(),
        "ok": ok,
    }
    if unit["name"] == alarms.UNIT and not unit["health"]["ok"]:
        unit["alarms"] = alarms.ask(url, HEALTH_SECONDS)


def add_log(unit: dict[str, Any], suspects: list[str]) -> None:
    """The telling lines of a unit's log, where there is reason to look."""
    if units.problems(unit) or unit["restarts"] or unit["name"] in suspects:
        lines = run(
            "journalctl",
            "--no-pager",
            "--quiet",
            "--output=short-iso",
            f"--lines={LOG_LINES}",
            f"--unit={unit['name']}",
        )
        unit["log"] = units.telling(lines.splitlines())


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "url": {"type": "str"},
                    "answer": {"type": "dict", "default": {}},
                },
            },
            "plan": {"type": "path"},
            "address": {"type": "str", "default": ""},
            "suspects": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    ports, plan_error = read_plan(params["plan"]) if params["plan"] else ({}, "")
    workers = {
        f"dynamo-worker@{index}.service": f"http://{params['address']}:{ports[index]['system']}"
        for index in ports
    }
    health = {unit["name"]: (unit["url"], unit["answer"]) for unit in params["units"]}
    health.update({name: (f"{url}/health", {"status": "ready"}) for name, url in workers.items()})

    text = run("systemctl", "--no-pager", "show", "-p", ",".join(PROPERTIES), *health, OURS)
    shown = unitset.parse_show(text)
    if not shown:
        module.fail_json(msg=f"systemctl show says nothing of any unit: {text.strip()}")
    seen = [units.observe(shown.get(name), name) for name in health]
    drained = {
        f"dynamo-worker@{index}.service": marks.read(marks.drained(int(index))) for index in ports
    }
    for unit in seen:
        unit["drained"] = marks.told(drained.get(unit["name"]))
    strangers = sorted(filter(unit_names.is_unit, set(shown) - set(health)))
    seen += [{**units.observe(shown[name], name), "expected": False} for name in strangers]

    def look(unit: dict[str, Any]) -> None:
        unit["flapping"] = flapping.read(unit["name"], shown.get(unit["name"], {}))
        add_fingerprints(unit, shown.get(unit["name"], {}))
        url, answer = health.get(unit["name"], (None, {}))
        if url:
            add_health(unit, url, answer)
        add_log(unit, params["suspects"])

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(look, seen))
    module.exit_json(
        changed=False,
        units=seen,
        workers=[
            {"unit": unit["name"], "url": workers[unit["name"]]}
            for unit in seen
            if unit["name"] in workers and unit.get("health", {}).get("ok") and not unit["drained"]
        ],
        ports=ports,
        plan_error=plan_error,
        releases=links.read(),
        sockets=listeners.read(),
    )


if __name__ == "__main__":
    main()
