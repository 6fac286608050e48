#!/usr/bin/python
"""Ansible module: note on a host which release is good, and say where a roll-back goes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_good
short_description: Note that the current release is good, or say what a roll-back goes to
description:
  - A release is good once a roll to it has closed. The module looks at the host's units, and where
    all of them run from the current release, with the desired fingerprint, it points C(ROOT/good)
    at it, and C(ROOT/previous) at the one that was good before. Drained workers do not count; a
    host of which nothing runs notes nothing.
attributes:
  check_mode:
    description: Says whether the release would be noted as good.
    support: full
  diff_mode:
    description: Shows the links.
    support: full
options:
  root:
    description: Directory that holds C(releases) and the links.
    type: path
    default: /opt/dynamo
  units:
    description: Units of this host that run from the release, besides the workers of the plan.
    type: list
    elements: str
    default: []
  plan:
    description: Path of the plan of this host's workers. Without it the host has no workers.
    type: path
  note:
    description: Whether the release is noted as good. Otherwise the links are only read.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Note that the release is good
  release_good:
    units: [dynamo-frontend.service]
    plan: /etc/dynamo/plan.json
"""

RETURN = r"""
current:
  description: Id of the current release; empty without one.
  type: str
  returned: always
good:
  description: Id of the release that a roll last closed on; empty without one.
  type: str
  returned: always
counts:
  description: Whether the host has a unit in service, so that what it goes back to counts.
  type: bool
  returned: always
back:
  description: Id of the release that a roll-back goes to; empty where none is known.
  type: str
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import marks
from ansible.module_utils.dynfleet.day2.workers import PlanError, Unit, look_at, read_plan
from ansible.module_utils.dynfleet.release import links


def in_service(params: dict[str, Any]) -> list[Unit]:
    """The units of this host that run from a release and are not drained.

    Raises PlanError where the plan cannot be read.
    """
    planned = read_plan(params["plan"])["workers"] if params["plan"] else []
    indices = [int(entry["index"]) for entry in planned]
    left = [index for index in indices if not Path(marks.drained(index)).exists()]
    names = params["units"] + [f"dynamo-worker@{index}.service" for index in left]
    units = [Unit(name) for name in names]
    look_at(units)
    return units


def proved(units: list[Unit], current: str) -> bool:
    """Whether all of a host's units run from the current release, as desired; and there are some.

    That the running configuration is the desired one is not enough: a release that was only laid
    ready is in no unit's configuration.
    """
    return bool(units) and all(
        unit.active and not unit.differs and unit.release == current for unit in units
    )


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/dynamo"},
            "units": {"type": "list", "elements": "str", "default": []},
            "plan": {"type": "path"},
            "note": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    root = Path(params["root"])
    before = {name: links.target(root / name) for name in links.NAMES}
    current = Path(before["current"]).name
    changed = False
    try:
        units = in_service(params)
        if params["note"] and before["current"] not in ("", before["good"]):
            changed = proved(units, current)
        if changed and not module.check_mode:
            links.close(root)
    except (PlanError, OSError) as error:
        module.fail_json(msg=f"The release was not noted as good: {error}")
    after = {name: links.target(root / name) for name in links.NAMES}
    module.exit_json(
        changed=changed,
        current=Path(after["current"]).name,
        good=Path(after["good"]).name,
        back=Path(links.back(root)).name,
        counts=bool(units),
        diff=[
            {
                "before": "".join(f"{root}/{n} -> {to}\n" for n, to in before.items() if to),
                "after": "".join(f"{root}/{n} -> {to}\n" for n, to in after.items() if to),
            }
        ],
    )


if __name__ == "__main__":
    main()
