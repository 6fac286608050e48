#!/usr/bin/python
"""Ansible module: who serves, as the service itself says, for hosts that nobody looks at."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_status
short_description: Ask discovery, the frontends and the control plane who serves
description:
  - Runs on one host that reaches them. What it sees is of the whole fleet, also of hosts that
    C(--limit) leaves out or that are unreachable over ssh.
  - Reads only; what does not answer is part of the result.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing changes, so there is nothing to show.
    support: none
options:
  members:
    description: >-
      By group (etcd, nats, frontends) and host, C(url) of the health endpoint and C(answer), the
      fields that its JSON has to have.
    type: dict
    required: true
  namespace:
    description: Namespace of the service in discovery.
    type: str
    required: true
  etcd:
    description: Client URLs of etcd.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Ask who serves
  service_status:
    members:
      frontends:
        control1: {url: "http://10.0.0.5:8000/health", answer: {status: healthy}}
    namespace: dynamo
    etcd: ["http://10.0.0.5:2379"]
  register: service
  run_once: true
"""

RETURN = r"""
workers:
  description: >-
    C(place) (ADDRESS:PORT) of every worker in discovery, and whether every frontend that answers
    has it (C(routed)); null where etcd does not answer.
  type: list
  elements: dict
  returned: always
health:
  description: By group and host, why a member does not serve; empty where it does.
  type: dict
  returned: always
leaders:
  description: The host whose member leads, by group.
  type: dict
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.day2 import discovery, members, routing
from ansible.module_utils.dynfleet.etcd import Etcd, EtcdError
from ansible.module_utils.dynfleet.verify import metrics


def workers(etcd: list[str], namespace: str, frontends: list[str]) -> list[dict[str, Any]] | None:
    """The workers in discovery; None where etcd does not answer."""
    try:
        found = discovery.serving(Etcd(etcd), namespace)
    except EtcdError:
        return None
    pages = [page for page in routing.pages(frontends).values() if page.status == 200]
    routed = [set(metrics.registered(page.body)) for page in pages]
    return [
        {"place": discovery.place(item), "routed": all(item.lease in has for has in routed)}
        for item in found
    ]


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "members": {"type": "dict", "required": True},
            "namespace": {"type": "str", "required": True},
            "etcd": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    groups: dict[str, dict[str, Any]] = params["members"]
    frontends = [members.base(member["url"]) for member in groups.get("frontends", {}).values()]
    leaders = {group: members.leader(group, of_group) for group, of_group in groups.items()}
    module.exit_json(
        changed=False,
        workers=workers(params["etcd"], params["namespace"], frontends),
        health={group: members.health(group, of_group) for group, of_group in groups.items()},
        leaders={group: host for group, host in leaders.items() if host},
    )


if __name__ == "__main__":
    main()
