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
    O(units[].salt), put into C(/etc/dynamo/fingerprint/UNIT.env); what runs is read from the
    environment of the unit's main process. A run that died half-way is therefore completed by
    the next one.
  - Units that are not running are started together and waited for; a unit counts as started when
    systemd says C(active), that is after its C(ExecStartPost) gate.
  - Units that run with another fingerprint are listed in RV(pending), and restarted one after
    another only with O(restart=true).
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
    description: Units of distribution packages that must never run beside ours.
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
    action: {description: "none, wait, start or restart.", type: str}
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
"""

import subprocess
import time
from pathlib import Path
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import files as fileset
from ansible.module_utils.dynfleet import units as unitset

FINGERPRINTS = "/etc/dynamo/fingerprint"
UNIT_DIRECTORY = "/etc/systemd/system/"
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


def systemctl(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run systemctl; a call that hangs raises subprocess.TimeoutExpired."""
    return subprocess.run(
        ["systemctl", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def show(names: list[str]) -> dict[str, dict[str, str]]:
    """State of the named units, by name."""
    if not names:
        return {}
    properties = ",".join(unitset.SHOW_PROPERTIES)
    return unitset.parse_show(systemctl("show", "-p", properties, *names).stdout)


def running(state: dict[str, str]) -> Optional[str]:
    """Fingerprint of the unit's main process; None where there is no process."""
    pid = int(state.get("MainPID") or 0)
    if pid == 0:
        return None
    return unitset.running_fingerprint(fileset.read(f"/proc/{pid}/environ") or b"")


def journal(name: str, lines: int = 15) -> str:
    """The last lines that a unit logged."""
    return subprocess.run(
        ["journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    ).stdout.strip()


class UnitSet:
    """The wanted state of one component on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: dict[str, Any] = module.params
        self.names = [unit["name"] for unit in self.params["units"]]
        self.want: dict[str, Optional[str]] = {}
        self.files: list[dict[str, Any]] = list(self.params["files"])

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

    def fail(self, name: str, what: str, **result: Any) -> None:
        self.module.fail_json(
            msg=f"{name} {what}. Its last lines:\n{journal(name)}\n"
            f"See also: journalctl -u {name}; systemctl status {name}",
            **result,
        )

    def wait_active(self, names: list[str], **result: Any) -> None:
        """Wait until every unit is active; a unit that keeps failing ends the wait at once."""
        deadline = time.monotonic() + self.params["timeout"]
        while True:
            states = show(names)
            waiting = [n for n in names if states.get(n, {}).get("ActiveState") != "active"]
            if not waiting:
                return
            for name in waiting:
                state = states.get(name, {})
                if state.get("ActiveState") == "failed" or int(state.get("NRestarts") or 0) > 3:
                    self.fail(name, f"does not start (state {state.get('SubState')})", **result)
            if time.monotonic() > deadline:
                seconds = self.params["timeout"]
                self.fail(waiting[0], f"was not ready within {seconds} s", **result)
            time.sleep(0.2)

    def restart(self, name: str) -> None:
        """Restart one unit and wait for its gate (systemctl returns after ExecStartPost)."""
        try:
            done = systemctl("restart", name, timeout=self.params["timeout"])
        except subprocess.TimeoutExpired:
            self.fail(name, f"was not ready within {self.params['timeout']} s of its restart")
        else:
            if done.returncode != 0:
                self.fail(name, f"did not restart: {done.stderr.strip()}")

    def apply(
        self,
        directories: list[dict[str, Any]],
        changed_files: list[dict[str, Any]],
        removed: list[str],
        stale: list[str],
        plan: list[dict[str, Any]],
    ) -> None:
        """Write, reload, enable, start."""
        if stale:
            systemctl("disable", "--now", *stale, timeout=self.params["timeout"])
        for item in directories:
            fileset.make_directory(item)
        for item in changed_files:
            fileset.write(item)
        for path in removed:
            Path(path).unlink()
        if any(p.startswith(UNIT_DIRECTORY) for p in [f["path"] for f in changed_files] + removed):
            systemctl("daemon-reload")
        to_mask = [name for name in self.params["masked"] if not is_masked(name)]
        if to_mask:
            systemctl("mask", "--now", *to_mask, timeout=self.params["timeout"])
        disabled = [entry["name"] for entry in plan if not entry["enabled"]]
        if disabled:
            done = systemctl("enable", *disabled)
            if done.returncode != 0:
                self.module.fail_json(msg=f"systemctl enable failed: {done.stderr.strip()}")
        starting = [entry["name"] for entry in plan if entry["action"] == "start"]
        if starting:
            systemctl("reset-failed", *starting)
            # restart: one of them may be starting with what was wanted before.
            systemctl("restart", "--no-block", *starting)
        self.wait_active([e["name"] for e in plan if e["action"] in ("start", "wait")])

    def run(self) -> None:
        """Compare, and unless in check mode bring the host to the wanted state."""
        self.wanted_fingerprints()
        before = {item["path"]: fileset.read(item["path"]) for item in self.files}
        directories = [
            item
            for item in self.params["directories"]
            if fileset.attributes_differ(item["path"], item)
        ]
        changed_files = [
            item
            for item in self.files
            if before[item["path"]] != item["content"].encode()
            or fileset.attributes_differ(item["path"], item)
        ]
        removed = fileset.stale_files(
            self.params["stale_files"], [item["path"] for item in self.files]
        )
        stale = self.stale_units()
        states = show(self.names)
        plan: list[dict[str, Any]] = []
        for name in self.names:
            state = states.get(name, {})
            have = running(state)
            plan.append(
                {
                    "name": name,
                    "found": state.get("ActiveState", "unknown"),
                    "enabled": state.get("UnitFileState") == "enabled",
                    "have": have,
                    "want": self.want[name],
                    "action": unitset.action(
                        state.get("ActiveState", "inactive"), have, self.want[name]
                    ),
                }
            )
        masks = [name for name in self.params["masked"] if not is_masked(name)]
        restarts = [entry["name"] for entry in plan if entry["action"] == "restart"]
        touched = [item["path"] for item in directories + changed_files] + removed
        changed = bool(
            touched
            or stale
            or masks
            or [e for e in plan if e["action"] == "start" or not e["enabled"]]
            or (restarts and self.params["restart"])
        )
        diff = [fileset.diff_entry(item, before[item["path"]]) for item in changed_files]
        diff += [{"before": f"{path}\n", "after": "", "before_header": path} for path in removed]
        lines = "".join(f"{e['action']} {e['name']}\n" for e in plan if e["action"] != "none")
        lines += "".join(f"stop {name}\n" for name in stale)
        if changed and lines:
            diff.append({"prepared": lines})
        if not self.module.check_mode:
            self.apply(directories, changed_files, removed, stale, plan)
            if self.params["restart"]:
                for name in restarts:
                    changed = True
                    self.restart(name)
        self.module.exit_json(
            changed=changed,
            diff=diff,
            files=touched,
            units=plan,
            pending=[] if self.params["restart"] else restarts,
            stopped=stale,
        )


def is_masked(name: str) -> bool:
    """Whether a unit is linked to /dev/null."""
    path = Path(UNIT_DIRECTORY) / name
    return path.is_symlink() and str(path.resolve()) == "/dev/null"


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
                },
            },
            "restart": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    UnitSet(module).run()


if __name__ == "__main__":
    main()
