#!/usr/bin/python
"""Ansible module: put what the probes saw into one report and judge it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_report
short_description: Judge what verify saw of a fleet
description:
  - Merges the results of M(unit_probe) and M(service_probe) of all hosts into one report, compares
    the listening sockets with the port table, and writes the report as JSON.
  - Runs on the controller. A host that was unreachable, or whose probe failed, is a finding.
  - Findings do not fail the task; RV(ok) says whether there are any.
attributes:
  check_mode:
    description: Judges, but does not write the report.
    support: full
  diff_mode:
    description: The report is not state of a host.
    support: none
options:
  hosts:
    description: >-
      By host, C(address) and C(groups) of the inventory, the registered results C(first) and
      C(second) of M(unit_probe), and C(service) of M(service_probe).
    type: dict
    required: true
  ports:
    description: The port table.
    type: dict
    required: true
  engine:
    description: Engine of the workers; it decides which listeners they have.
    type: str
    required: true
  nats_servers:
    description: Number of NATS servers in the inventory; one alone has no cluster port.
    type: int
    required: true
  left_out:
    description: Hosts of the inventory that were not looked at.
    type: list
    elements: str
    default: []
  report:
    description: File for the report; its directory is made.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Judge what was seen
  verify_report:
    hosts:
      gpu1:
        address: 10.0.0.6
        groups: [workers]
        first: "{{ hostvars.gpu1.before }}"
        second: "{{ hostvars.gpu1.after }}"
        service: {}
    ports: "{{ dynamo_ports }}"
    engine: vllm
    nats_servers: 1
    report: reports/verify.json
  register: judged
"""

RETURN = r"""
ok:
  description: Whether everything is as it should be.
  type: bool
  returned: always
findings:
  description: What is wrong, each with host, unit, check, expected, seen and log lines.
  type: list
  elements: dict
  returned: always
summary:
  description: The report for people.
  type: str
  returned: always
"""

import datetime
import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.ports import port_table
from ansible.module_utils.dynfleet.verdict import Seen, judge, summary


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "hosts": {"type": "dict", "required": True},
            "ports": {"type": "dict", "required": True},
            "engine": {"type": "str", "required": True},
            "nats_servers": {"type": "int", "required": True},
            "left_out": {"type": "list", "elements": "str", "default": []},
            "report": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    seen = {
        name: Seen(
            host["first"],
            host["second"],
            host["service"],
            port_table(
                host["groups"],
                host["address"],
                params["ports"],
                workers=len(host["first"].get("ports", {})),
                engine=params["engine"],
                nats_servers=params["nats_servers"],
            ),
        )
        for name, host in params["hosts"].items()
    }
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    report = judge(seen, now, params["left_out"])
    path = Path(params["report"])
    if not module.check_mode:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    module.exit_json(
        changed=False, ok=report["ok"], findings=report["findings"], summary=summary(report)
    )


if __name__ == "__main__":
    main()
