#!/usr/bin/python
"""Ansible module: the facts of a GPU host and the wishes of a site in, the plan out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_layout
short_description: Decide which GPUs, CPUs, SSD directories, network devices and ports a worker gets
description:
  - Groups the GPUs of one host into workers. The grouping is the exact optimum, for up to 16
    GPUs, of this objective, in this order. The weakest link inside any group is as strong as it
    can be; the sum of all links inside groups is the largest (SYS 10, NODE 20, PHB 30, PXB 40,
    PIX 50, 100 for each NVLink); the fewest groups span NUMA nodes; NVMe devices, then network
    devices, are shared out evenly; the lowest GPU indices come first.
  - A group never mixes models or sizes of memory. On a host with several kinds of GPU, the kind
    that brings the most memory in whole groups gets the workers; the others are idle, unless
    O(layout) names them.
  - Where GPUs do not divide by the group size, those are left over that make the rest best. Each
    GPU that is not used is named with its reason.
  - Reads nothing but its arguments and changes nothing. It fails with every violation at once.
attributes:
  check_mode:
    description: Does the same, as it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  topology:
    description: The value RV(topology) of the module M(gpu_topology).
    type: dict
    required: true
  host:
    description: Name of the host, for the plan and for messages.
    type: str
    required: true
  group_size:
    description: GPUs of one worker.
    type: int
    default: 2
  layout:
    description:
      - Groups by hand, each a list of GPU indices or UUIDs. It is honoured, and its cost against
        the optimum is in RV(plan.cost). Empty for the optimum.
    type: list
    elements: list
    default: []
  exclude:
    description: Indices or UUIDs of GPUs to leave out.
    type: list
    elements: str
    default: []
  min_link:
    description:
      - Refuse a plan with a weaker link than this inside a group. SYS, NODE, PHB, PXB, PIX or
        NV1, NV2, and so on. Empty for no limit.
    type: str
    default: ""
  same_numa:
    description: Refuse a plan with a group that is not known to sit on one NUMA node.
    type: bool
    default: false
  ssd_roots:
    description:
      - Directories for the SSD cache tier. A worker gets a sub-directory, named by its number, of
        every root that all its GPUs reach without crossing NUMA nodes, nearest first; of every
        root where there is no such one.
    type: list
    elements: path
    default: []
  cpu_cache_gib:
    description: Size of a worker's CPU cache tier in GiB, 0 for none.
    type: float
    default: 0
  ssd_cache_gib:
    description: Size of a worker's SSD cache tier in GiB, over all its directories; 0 for none.
    type: float
    default: 0
  memory_gib:
    description: Memory budget of a worker's unit in GiB, 0 for none.
    type: float
    default: 0
  ports:
    description:
      - The port table. Port C(name) of worker n is C(worker_NAME) + n, for C(vllm) + 20 n.
    type: dict
    default: {}
  picture:
    description: Also draw the plan, see RV(picture).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Read the topology
  gpu_topology:
  register: facts

- name: Plan pairs of GPUs, each on NVLink
  worker_layout:
    topology: "{{ facts.topology }}"
    host: "{{ inventory_hostname }}"
    group_size: 2
    min_link: NV1
  register: layout

- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ layout.table + layout.plan.explanation }}"

- name: Use the pairs that someone chose, without GPU 7
  worker_layout:
    topology: "{{ facts.topology }}"
    host: "{{ inventory_hostname }}"
    layout: [[0, 2], [1, 4], [3, 5]]
    exclude: [7]
"""

RETURN = r"""
plan:
  description: The plan. Where a value comes from the facts, RV(plan.source) says which.
  type: dict
  returned: success
  contains:
    host: {description: The option O(host)., type: str}
    group_size: {description: GPUs a worker., type: int}
    source: {description: "Where the facts come from: C(live) or C(recorded:PATH).", type: str}
    fingerprint:
      description: SHA-256 over UUID, PCI address, index, NUMA node and MIG mode of all GPUs of
        the host and their links.
      type: str
    links_from_sysfs:
      description: Whether the driver did not tell the links, so that they come from the PCI bus.
      type: bool
    forced:
      description: The optimum still has a group that neither sits on one NUMA node nor is joined
        by NVLink, so nothing better exists on this host.
      type: bool
    by_hand: {description: Whether O(layout) was given., type: bool}
    score:
      description: The objective's value of the plan.
      type: dict
      contains:
        weakest_link: {description: "Link class, X for groups of one GPU.", type: str}
        link_points: {description: "Sum over all links inside groups, in points.", type: int}
        groups_across_numa_nodes: {description: Number of groups., type: int}
        imbalance_devices:
          description: For C(nvme) and C(network), where the facts have any, the root mean square
            distance of a worker's share of nearest devices from an even one, in devices.
          type: dict
    cost: {description: What the plan costs against the optimum., type: str}
    workers:
      description: The workers, in order of their lowest GPU index, or of O(layout).
      type: list
      elements: dict
      contains:
        index: {description: Number of the worker., type: int}
        gpus:
          description: Index, UUID, PCI address, device minor number, NUMA node and MIG mode of
            each GPU, from the facts.
          type: list
          elements: dict
        link: {description: "Weakest link class in the group, X for one GPU.", type: str}
        links: {description: Link matrix of the group., type: list, elements: list}
        fingerprint: {description: SHA-256 over this group's GPUs and links., type: str}
        numa_node: {description: The one NUMA node of all its GPUs or null., type: int}
        cpus:
          description: CPU list, this worker's part of the node's physical cores with their
            hardware threads; null without a node.
          type: str
        ssd_dirs: {description: Absolute directories., type: list, elements: str}
        net_devices:
          description: RDMA C(device:port) nearest to its GPUs.
          type: list
          elements: str
        ports: {description: Port by name., type: dict}
        memory_bytes: {description: "O(memory_gib) in bytes, null for none.", type: int}
    idle:
      description: GPUs that no worker uses, each with C(index), C(uuid) and C(reason).
      type: list
      elements: dict
    optimum:
      description: The best grouping, with C(groups) by GPU index, C(links), C(score),
        C(same_groups) and C(cost).
      type: dict
    runner_up:
      description: The second best grouping, like RV(plan.optimum), or null.
      type: dict
    index_order: {description: "Grouping by index, like RV(plan.optimum).", type: dict}
    warnings: {description: What should be known., type: list, elements: str}
    explanation: {description: The plan in sentences., type: list, elements: str}
table:
  description: The workers as lines of a table.
  type: list
  elements: str
  returned: success
notes:
  description: Idle GPUs with their reasons, and warnings, in sentences (part of
    RV(plan.explanation)); without a plan, the warnings.
  type: list
  elements: str
  returned: always
picture:
  description: The plan as an SVG document.
  type: str
  returned: when O(picture=true)
violations:
  description: Every reason why the host cannot be placed as wished.
  type: list
  elements: str
  returned: failure
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.placement.explain import notes, table
from ansible.module_utils.dynfleet.placement.facts import whole
from ansible.module_utils.dynfleet.placement.plan import Refusal, make_plan
from ansible.module_utils.dynfleet.placement.svg import picture
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology.recorded import Unreadable

ARGUMENTS: dict[str, dict[str, Any]] = {
    "topology": {"type": "dict", "required": True},
    "host": {"type": "str", "required": True},
    "group_size": {"type": "int", "default": 2},
    "layout": {"type": "list", "elements": "list", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "min_link": {"type": "str", "default": ""},
    "same_numa": {"type": "bool", "default": False},
    "ssd_roots": {"type": "list", "elements": "path", "default": []},
    "cpu_cache_gib": {"type": "float", "default": 0},
    "ssd_cache_gib": {"type": "float", "default": 0},
    "memory_gib": {"type": "float", "default": 0},
    "ports": {"type": "dict", "default": {}},
    "picture": {"type": "bool", "default": False},
}


def wishes(params: dict[str, Any]) -> Wishes:
    """The options as wishes."""
    return Wishes(
        group_size=params["group_size"],
        layout=tuple(tuple(str(name) for name in group) for group in params["layout"]),
        exclude=tuple(params["exclude"]),
        min_link=params["min_link"],
        same_numa=params["same_numa"],
        ssd_roots=tuple(params["ssd_roots"]),
        cpu_cache_gib=params["cpu_cache_gib"],
        ssd_cache_gib=params["ssd_cache_gib"],
        memory_gib=params["memory_gib"],
        ports=params["ports"],
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    host = module.params["host"]
    try:
        topology = whole(module.params["topology"], f"{host}: topology")
        plan = make_plan(topology, wishes(module.params), host)
    except Refusal as refusal:
        module.fail_json(
            msg=f"{host}: no plan. " + "; ".join(refusal.violations),
            violations=refusal.violations,
            notes=[f"Warning: {known}." for known in refusal.known],
        )
    except (Unreadable, ValueError) as error:
        module.fail_json(msg=f"{host}: no plan. {error}", violations=[str(error)])
    result: dict[str, Any] = {
        "changed": False,
        "plan": plan,
        "table": table(plan),
        "notes": notes(plan),
    }
    if module.params["picture"]:
        result["picture"] = picture(topology, plan)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
