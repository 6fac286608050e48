#!/usr/bin/python
"""Ansible module: a component's files and units, brought to the wanted state in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_set
short_description: Write a component's files and bring its systemd units to the wanted state
description:
  - One call writes directories and files, removes stale ones, enables units and starts them, so
    that a converged host costs one round trip a component.
  - A unit is restarted because what it runs with differs from what is wanted, never because a
    file was written in this run. Wanted is the digest of the unit's O(units[].inputs) and
    O(units[].salt), put into C(/etc/dynamo/fingerprint/UNIT.env). What runs is noted by the unit
    itself at its start (C(record-start)); a unit without that note is asked by the environment of
    its main process. A run that died half-way is therefore completed by the next one. The
    fingerprint is written last, after systemd has read the units anew, so that a process that has
    it was started with everything that it stands for.
  - Units that are not running are started together and waited for; a unit counts as started when
    systemd says C(active), that is after its C(ExecStartPost) gate.
  - Units that run with another fingerprint are listed in RV(pending), and restarted one after
    another only with O(restart=true). Where a unit wants a GPU that another one's process still
    has, those are stopped together before any is started, also only with O(restart=true).
  - A target is started, not waited for, for at boot it waits for its units itself.
  - A unit whose O(units[].drained) mark is there was taken out by an operator. Its files are
    written, but it is neither started, waited for nor restarted.
attributes:
  check_mode:
    description: Says what would be written, started and restarted; touches nothing.
    support: full
  diff_mode:
    description: Shows each file; the content of secret ones is withheld.
    support: full
options:
  directories:
    description: Directories to make.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
      mode:
        description: Mode in octal, as text.
        type: str
        default: "0755"
  files:
    description: Files to write.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
      mode:
        description: Mode in octal, as text.
        type: str
        default: "0644"
      secret:
        description: Keep the content out of the diff.
        type: bool
        default: false
  stale_files:
    description: Glob patterns; a matching file that is not in O(files) is removed.
    type: list
    elements: str
    default: []
  stale_template:
    description:
      - Prefix of a template unit, for example C(dynamo-worker@); an instance that systemd knows
        and O(units) does not name is stopped and disabled.
    type: str
  masked:
    description:
      - Units of distribution packages that must never run beside ours. One that is active is the
        site's own and is not touched; the module fails.
    type: list
    elements: str
    default: []
  units:
    description: Units to enable and start, in order of restart.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Full unit name.
        type: str
        required: true
      inputs:
        description: Files that the process is started from. Empty for a target.
        type: list
        elements: path
        default: []
      salt:
        description: What else decides the process, for example the release id.
        type: str
        default: ""
      gpus:
        description: UUIDs of the GPUs that the process will have (C(CUDA_VISIBLE_DEVICES)).
        type: list
        elements: str
        default: []
      drained:
        description: File that keeps the unit as it is (M(worker_service)) as long as it is there.
        type: path
  restart:
    description: Restart units that run with another fingerprint.
    type: bool
    default: false
  timeout:
    description: Seconds that the start of all units together, or the restart of one, may take.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Configure and start NATS
  unit_set:
    directories:
      - {path: /etc/dynamo, mode: "0755"}
    files:
      - path: /etc/dynamo/nats.conf
        content: "{{ lookup('template', 'nats.conf.j2') }}"
        group: nats
        mode: "0640"
      - path: /etc/systemd/system/dynamo-nats.service
        content: "{{ lookup('template', 'dynamo-nats.service.j2') }}"
    units:
      - name: dynamo-nats.service
        inputs: [/etc/systemd/system/dynamo-nats.service, /etc/dynamo/nats.conf]
    masked: [nats-server.service]
"""

RETURN = r"""
files:
  description: Paths written or to be written, and paths removed.
  type: list
  elements: str
  returned: always
units:
  description: Each unit as it was found and what was done.
  type: list
  elements: dict
  returned: always
  contains:
    name: {description: Unit name., type: str}
    found: {description: ActiveState before., type: str}
    have: {description: Fingerprint of the running process., type: str}
    want: {description: Wanted fingerprint., type: str}
    action: {description: "none, wait, start, restart or drained.", type: str}
pending:
  description: Units that run with another fingerprint and were not restarted.
  type: list
  elements: str
  returned: always
stopped:
  description: Stale instances that were stopped and disabled.
  type: list
  elements: str
  returned: always
drained:
  description: Units that were left as they are, because an operator drained them.
  type: list
  elements: str
  returned: always
"""

import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import files as fileset
from ansible.module_utils.dynfleet import nofollow
from ansible.module_utils.dynfleet import units as unitset
from ansible.module_utils.dynfleet.day2.report import failure
from ansible.module_utils.dynfleet.systemd import (
    FINGERPRINTS,
    UNIT_DIRECTORY,
    held_gpus,
    is_masked,
    running,
    show,
    systemctl,
)

ATTRIBUTES: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


def is_fingerprint(item: dict[str, Any]) -> bool:
    """Whether a file is one that exports a fingerprint."""
    return str(item["path"]).startswith(f"{FINGERPRINTS}/")


class UnitSet:
    """The wanted state of one component on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: dict[str, Any] = module.params
        self.names = [unit["name"] for unit in self.params["units"]]
        self.want: dict[str, str | None] = {}
        self.files: list[dict[str, Any]] = list(self.params["files"])
        # What differs, from compare().
        self.before: dict[str, bytes | None] = {}
        self.directories: list[dict[str, Any]] = []
        self.changed_files: list[dict[str, Any]] = []
        self.removed: list[str] = []
        self.touched: list[str] = []
        self.stale: list[str] = []
        self.masks: list[str] = []
        self.reload = False
        self.together = False
        self.plan: list[dict[str, Any]] = []

    def wanted_fingerprints(self) -> None:
        """Compute each unit's fingerprint and add the file that exports it."""
        contents = {item["path"]: item["content"].encode() for item in self.files}
        for unit in self.params["units"]:
            if not unit["inputs"]:
                self.want[unit["name"]] = None
                continue
            parts: dict[str, bytes] = {}
            for path in unit["inputs"]:
                content = contents.get(path)
                if content is None:
                    content = fileset.read(path)
                if content is None and not self.module.check_mode:
                    self.module.fail_json(
                        msg=f"{unit['name']}: its input {path} is neither in 'files' nor on the "
                        "host; the role that owns that file has to run first"
                    )
                parts[path] = content or b""
            self.want[unit["name"]] = unitset.fingerprint(parts, unit["salt"])
            self.files.append(
                {
                    "path": f"{FINGERPRINTS}/{unit['name']}.env",
                    "content": f"DYNAMO_FINGERPRINT={self.want[unit['name']]}\n",
                    "owner": "root",
                    "group": "root",
                    "mode": "0644",
                    "secret": False,
                }
            )

    def stale_units(self) -> list[str]:
        """Instances of the template that the plan no longer has."""
        template = self.params["stale_template"]
        if not template:
            return []
        listed = systemctl(
            "list-units", "--all", "--plain", "--no-legend", f"{template}*.service"
        ).stdout
        enabled = Path(UNIT_DIRECTORY).glob(f"*.wants/{template}*.service")
        known = [line.split()[0] for line in listed.splitlines() if line.strip()]
        known += [path.name for path in enabled]
        return unitset.stale_instances(known, self.names, template)

    def fail(self, name: str, what: str) -> None:
        """End the module, with the unit's state and what it logged."""
        states = show(self.names)
        seen = [
            f"{one} is {state.get('ActiveState')} ({state.get('SubState')}), restarted "
            f"{state.get('NRestarts') or 0} times"
            for one, state in states.items()
            if one == name or state.get("ActiveState") != "active"
        ]
        self.module.fail_json(
            msg=failure(
                name,
                what,
                asked="systemd calls it active: its readiness gate (ExecStartPost) has passed",
                seen="; ".join(seen),
                do="fix what its log says, then run the same command again",
            )
        )

    def must(self, *arguments: str, timeout: float = 60) -> None:
        """Run systemctl; a refusal ends the module with what it said."""
        try:
            done = systemctl(*arguments, timeout=timeout)
        except subprocess.TimeoutExpired:
            self.module.fail_json(
                msg=f"systemctl {' '.join(arguments)} was not done within {timeout:g} s; see "
                "systemctl list-jobs on the host"
            )
        if done.returncode != 0:
            self.module.fail_json(
                msg=f"systemctl {' '.join(arguments)} failed: {done.stderr.strip()}"
            )

    def wait_active(self, names: list[str]) -> None:
        """Wait until every unit is active; a unit that keeps failing ends the wait at once."""
        deadline = time.monotonic() + self.params["timeout"]
        # systemd counts restarts over a unit's whole life: only those from here on tell.
        restarts: dict[str, int] = {}
        while True:
            states = show(names)
            waiting = [n for n in names if states.get(n, {}).get("ActiveState") != "active"]
            if not waiting:
                return
            for name in waiting:
                state = states.get(name, {})
                count = int(state.get("NRestarts") or 0)
                restarts[name] = min(count, restarts.get(name, count))
                if state.get("ActiveState") == "failed" or count - restarts[name] > 3:
                    self.fail(name, f"does not start (state {state.get('SubState')})")
            if time.monotonic() > deadline:
                self.fail(waiting[0], f"was not ready within {self.params['timeout']} s")
            time.sleep(0.2)

    def restart(self, name: str) -> None:
        """Restart one unit and wait for its gate (systemctl returns after ExecStartPost)."""
        try:
            done = systemctl("restart", name, timeout=self.params["timeout"])
        except subprocess.TimeoutExpired:
            self.fail(name, f"was not ready within {self.params['timeout']} s of its restart")
        else:
            if done.returncode != 0:
                self.fail(name, f"did not restart: {done.stderr.split('.', 1)[0]}")

    def compare(self) -> None:
        """Find what differs from the wanted state."""
        self.wanted_fingerprints()
        self.before = {item["path"]: fileset.read(item["path"]) for item in self.files}
        self.directories = [
            item
            for item in self.params["directories"]
            if fileset.attributes_differ(item["path"], item)
        ]
        self.changed_files = [
            item
            for item in self.files
            if self.before[item["path"]] != item["content"].encode()
            or fileset.attributes_differ(item["path"], item)
        ]
        self.removed = fileset.stale_files(
            self.params["stale_files"], [item["path"] for item in self.files]
        )
        self.touched = [item["path"] for item in self.directories + self.changed_files]
        self.touched += self.removed
        self.stale = self.stale_units()
        self.masks = [name for name in self.params["masked"] if not is_masked(name)]
        self.refuse_foreign(show(self.masks))
        states = show(self.names)
        # The second: a run that died between writing a unit and having systemd read it.
        self.reload = any(path.startswith(UNIT_DIRECTORY) for path in self.touched) or any(
            state.get("NeedDaemonReload") == "yes" for state in states.values()
        )
        for unit in self.params["units"]:
            name = unit["name"]
            state = states.get(name, {})
            have = running(state)
            active = state.get("ActiveState", "inactive")
            drained = unit["drained"] and Path(unit["drained"]).exists()
            self.plan.append(
                {
                    "name": name,
                    "found": state.get("ActiveState", "unknown"),
                    "enabled": state.get("UnitFileState") == "enabled",
                    "have": have,
                    "want": self.want[name],
                    "action": (
                        "drained" if drained else unitset.action(active, have, self.want[name])
                    ),
                }
            )

        changing = self.planned("start", "restart")
        self.together = unitset.collide(
            {u["name"]: u["gpus"] for u in self.params["units"] if u["name"] in changing},
            {name: held_gpus(states.get(name, {})) for name in self.names},
        )

    def refuse_foreign(self, states: dict[str, dict[str, str]]) -> None:
        """A service that the site runs itself is not taken down unasked."""
        for name, state in states.items():
            if state.get("ActiveState") == "active":
                self.module.fail_json(
                    msg=f"{name} runs on this host and is not this project's. If nothing needs it, "
                    f"stop it (systemctl disable --now {name}) and run again; else choose "
                    "another host."
                )

    def planned(self, *actions: str) -> list[str]:
        """Names of the units with one of these actions."""
        return [entry["name"] for entry in self.plan if entry["action"] in actions]

    def apply(self) -> None:
        """Write, reload, enable, start."""
        timeout = self.params["timeout"]
        if self.stale:
            self.must("disable", "--now", *self.stale, timeout=timeout)
            # One that was killed at its stop timeout would stay listed as failed.
            systemctl("reset-failed", *self.stale)
        for item in self.directories:
            fileset.make_directory(item)
        for item in self.changed_files:
            if not is_fingerprint(item):
                fileset.write(item)
        for path in self.removed:
            nofollow.unlink(path)
        if self.reload:
            self.must("daemon-reload")
        for item in self.changed_files:
            if is_fingerprint(item):
                fileset.write(item)
        if self.masks:
            self.must("mask", "--now", *self.masks, timeout=timeout)
        disabled = [entry["name"] for entry in self.plan if not entry["enabled"]]
        if disabled:
            self.must("enable", *disabled)
        targets = [name for name in self.planned("start") if self.want[name] is None]
        if targets:
            self.must("start", "--no-block", *targets)
        if not self.together:
            self.start([name for name in self.planned("start") if name not in targets])
            self.wait_active([n for n in self.planned("start", "wait") if self.want[n] is not None])

    def start(self, names: list[str]) -> None:
        """Start units at once, without waiting."""
        if names:
            systemctl("reset-failed", *names)
            # restart: one of them may be starting with what was wanted before.
            self.must("restart", "--no-block", *names)

    def restart_together(self, names: list[str]) -> None:
        """Stop all before any is started: they exchange GPUs."""
        self.must("stop", *names, timeout=self.params["timeout"])
        self.start(names)
        self.wait_active(names)

    def diff(self) -> list[dict[str, str]]:
        """The files, and what is done to units, as Ansible shows it."""
        entries = [
            fileset.diff_entry(item, self.before[item["path"]]) for item in self.changed_files
        ]
        entries += [
            {"before": f"{path}\n", "after": "", "before_header": path} for path in self.removed
        ]
        lines = "reload systemd\n" if self.reload else ""
        quiet = ("none", "drained")
        lines += "".join(
            f"{e['action']} {e['name']}\n" for e in self.plan if e["action"] not in quiet
        )
        lines += "".join(f"stop {name}\n" for name in self.stale)
        return [*entries, {"prepared": lines}] if lines else entries

    def run(self) -> None:
        """Compare, and unless in check mode bring the host to the wanted state."""
        self.compare()
        pending = self.planned("start", "restart") if self.together else self.planned("restart")
        restarting = pending if self.params["restart"] else []
        changed = bool(
            self.touched
            or self.stale
            or self.masks
            or self.reload
            or restarting
            or [e for e in self.plan if e["action"] == "start" or not e["enabled"]]
        )
        if not self.module.check_mode:
            self.apply()
            if self.together and restarting:
                self.restart_together(restarting)
            else:
                for name in restarting:
                    self.restart(name)
        self.module.exit_json(
            changed=changed,
            diff=self.diff() if changed else [],
            files=self.touched,
            units=self.plan,
            pending=[] if self.params["restart"] else pending,
            stopped=self.stale,
            drained=self.planned("drained"),
        )


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {**ATTRIBUTES, "mode": {"type": "str", "default": "0755"}},
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **ATTRIBUTES,
                    "mode": {"type": "str", "default": "0644"},
                    "content": {"type": "str", "required": True},
                    "secret": {"type": "bool", "default": False, "no_log": False},
                },
            },
            "stale_files": {"type": "list", "elements": "str", "default": []},
            "stale_template": {"type": "str"},
            "masked": {"type": "list", "elements": "str", "default": []},
            "units": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "inputs": {"type": "list", "elements": "path", "default": []},
                    "salt": {"type": "str", "default": ""},
                    "gpus": {"type": "list", "elements": "str", "default": []},
                    "drained": {"type": "path"},
                },
            },
            "restart": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    # Also out of what Ansible shows of the arguments with -vvv.
    module.no_log_values.update(
        item["content"] for item in module.params["files"] if item["secret"] and item["content"]
    )
    try:
        UnitSet(module).run()
    except nofollow.UnsafePath as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
