#!/usr/bin/python
"""Ansible module: everything of ours taken off a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_clean
short_description: Stop, disable and remove everything of this project on a host
description:
  - Stops and disables all units of ours, removes their files, the directories of O(directories),
    the SSD tier of the workers in the plan, and the service user; unmasks the distribution's units
    that were masked for ours. Packages stay, and so do models.
  - A unit of the site's is left alone whatever its name begins with (C(dynamodb-local.service)).
  - A mount point inside a directory is left alone with all that is on it, and named in RV(left).
    So is a directory that only another user's link leads to.
  - Units are stopped as systemd stops them, so that a frontend finishes the streams that it has.
attributes:
  check_mode:
    description: Lists what would be removed; touches nothing.
    support: full
  diff_mode:
    description: Lists the same.
    support: full
options:
  directories:
    description: Directories to remove with their content.
    type: list
    elements: path
    required: true
  files:
    description: Glob patterns of further files.
    type: list
    elements: str
    default: []
  keep:
    description:
      - Directories to leave alone wherever they are, with the revisions of a model beside them
        (C(PATH.*)). Links and bind mounts are resolved, in these and in what is removed.
    type: list
    elements: str
    default: []
  masked:
    description: Units of distribution packages to unmask.
    type: list
    elements: str
    default: []
  user:
    description: The service user.
    type: str
    default: dynamo
  plan:
    description: Plan of the host's workers, for the directories of their SSD tier.
    type: path
    default: /etc/dynamo/plan.json
  timeout:
    description: Seconds that stopping may take.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Take everything of ours off this host
  host_clean:
    directories: [/etc/dynamo, /opt/dynamo]
    keep: [/srv/models]
"""

RETURN = r"""
units:
  description: Units that were stopped and disabled.
  type: list
  elements: str
  returned: always
removed:
  description: Files and directories that were removed.
  type: list
  elements: str
  returned: always
left:
  description: What was left of them, and why.
  type: list
  elements: str
  returned: always
"""

import pwd
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import removal, unit_names
from ansible.module_utils.dynfleet.systemd import is_masked, systemctl


def units() -> list[str]:
    """Our units that systemd knows, instances too."""
    listed = systemctl("list-units", "--all", "--plain", "--no-legend", "dynamo*").stdout
    rows = [line.split() for line in listed.splitlines() if line.strip()]
    known = {row[0] for row in rows if row[1] != "not-found"}
    known |= {Path(path).name for path in removal.unit_files()}
    return sorted(filter(unit_names.is_unit, known))


def is_user(name: str) -> bool:
    """Whether the host has a user of that name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def stop(module: AnsibleModule, names: list[str]) -> None:
    """Stop and disable units; one that does not stop ends the module before anything is removed."""
    timeout = module.params["timeout"]
    try:
        done = systemctl("disable", "--now", *names, timeout=timeout)
    except subprocess.TimeoutExpired:
        module.fail_json(
            msg=f"{', '.join(names)} did not stop within {timeout} s; nothing was removed. See "
            f"systemctl status {' '.join(names)}"
        )
    if done.returncode != 0:
        module.fail_json(msg=f"systemctl disable --now failed: {done.stderr.strip()}")


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "required": True},
            "files": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "str", "default": []},
            "masked": {"type": "list", "elements": "str", "default": []},
            "user": {"type": "str", "default": "dynamo"},
            "plan": {"type": "path", "default": "/etc/dynamo/plan.json"},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    act = not module.check_mode
    names = units()
    keep = [path for kept in params["keep"] for path in removal.with_revisions(kept)]
    masks = [name for name in params["masked"] if is_masked(name)]
    paths = removal.unit_files() + removal.existing(params["files"]) + params["directories"]
    has_user = is_user(params["user"])
    ssd = removal.ssd_directories(params["plan"])
    if act and names:
        stop(module, names)
    done = removal.Outcome()
    try:
        for path in ssd:
            done.add(removal.remove_ssd_files(Path(path), act))
        for path in paths:
            done.add(removal.remove(Path(path), keep, act))
    except OSError as error:
        module.fail_json(msg=f"{error}. Removed so far: {', '.join(done.gone) or 'nothing'}")
    if act:
        if masks:
            systemctl("unmask", *masks)
        if names:
            systemctl("daemon-reload")
            systemctl("reset-failed", *names)
        if has_user:
            told = subprocess.run(
                ["userdel", params["user"]], capture_output=True, text=True, timeout=60, check=False
            )
            if told.returncode != 0:
                module.fail_json(msg=f"userdel {params['user']} failed: {told.stderr.strip()}")
    user = [f"user {params['user']}"] if has_user else []
    lines = [f"stop and disable {name}" for name in names]
    lines += [f"remove {path}" for path in done.gone + user] + [f"unmask {name}" for name in masks]
    module.exit_json(
        changed=bool(lines),
        units=names,
        removed=done.gone + user,
        left=done.left,
        diff={"prepared": "".join(f"{line}\n" for line in lines)} if lines else {},
    )


if __name__ == "__main__":
    main()
