#!/usr/bin/python
"""Ansible module: put the state of a fleet's units into a table and a report."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_status
short_description: Show what runs on a fleet, on which release and GPUs, and what is drained
description:
  - Runs on the controller, on what M(unit_status) said of every host.
  - A target that is not known is refused, with the list of known ones.
attributes:
  check_mode:
    description: Shows, but does not write the report.
    support: full
  diff_mode:
    description: The report is not state of a host.
    support: none
options:
  hosts:
    description: By host, C(groups) of the inventory and C(status), the result of M(unit_status).
    type: dict
    required: true
  target:
    description: Only these workers, by name; all units without one.
    type: str
    default: ""
  report:
    description: File for the report (JSON); its directory is made.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Show what runs
  fleet_status:
    hosts:
      gpu1:
        groups: [workers]
        status: "{{ hostvars.gpu1.seen }}"
    report: reports/status.json
"""

RETURN = r"""
table:
  description: A line a unit.
  type: list
  elements: str
  returned: success
units:
  description: The units of M(unit_status), each with its host.
  type: list
  elements: dict
  returned: success
"""

import datetime
import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import fleet, table, targets


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "hosts": {"type": "dict", "required": True},
            "target": {"type": "str", "default": ""},
            "report": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    # A host that did not answer has no status: the others are shown all the same.
    silent = [name for name, host in params["hosts"].items() if "units" not in host["status"]]
    hosts = {
        name: {"groups": host["groups"], **host["status"]}
        for name, host in params["hosts"].items()
        if name not in silent
    }
    workers = fleet.worker_rows(hosts)
    wanted, unknown = targets.resolve(params["target"], workers)
    if unknown:
        module.fail_json(
            msg=f"no such host, worker or GPU: {', '.join(unknown)}. Known are "
            f"{targets.known(workers)}"
        )
    table.add_routes(hosts)
    found = table.rows(hosts, wanted if params["target"] else None)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    if not module.check_mode:
        path = Path(params["report"])
        path.parent.mkdir(parents=True, exist_ok=True)
        report = {"seen_at": now, "units": found, "silent": silent}
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    told = [*table.lines(found), *table.unfinished(hosts)]
    told += [f"{name} does not answer" for name in silent]
    module.exit_json(changed=False, table=told, units=found)


if __name__ == "__main__":
    main()
