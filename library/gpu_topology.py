#!/usr/bin/python
"""Ansible module: what GPUs a host has, how they are joined and what lies near them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_topology
short_description: Read a host's GPUs, the links between them, and what lies near them
description:
  - One call reads what placement and its checks need of a GPU host. GPUs and links come from NVML
    through nvidia-ml-py, where the host has it, else from C(nvidia-smi); the rest from C(/sys) and
    C(/proc). RV(topology.sources) says for each value where it was read.
  - Or it reads a recorded topology from a file, in the same shape.
  - A missing driver, no GPU, a GPU that fell off the bus, a driver that does not answer are not
    failures of this module. RV(topology.status) and RV(topology.problems) say what is wrong and
    what to do, and the GPUs that can be read are there. It fails where a recorded file cannot be
    used.
attributes:
  check_mode:
    description: Does the same, as it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  recorded:
    description:
      - File on the host to read instead of its devices. It holds RV(topology) as JSON, or text of
        C(nvidia-smi topo -m) as people paste it, or an object with C(gpus) (their number),
        C(links) (the matrix) and C(numa) (the node of each).
    type: path
  paths:
    description: Directories whose file systems are wanted in RV(topology.paths). They need not
      exist.
    type: list
    elements: path
    default: []
  timeout:
    description: Seconds that NVML, and then C(nvidia-smi), may take to answer.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Read the topology
  gpu_topology:
    paths: [/nvme0/flexkv, /nvme1/flexkv]
  register: facts

- name: Keep it, to plan for this host without it
  ansible.builtin.copy:
    content: "{{ facts.topology | to_nice_json }}"
    dest: "/tmp/{{ inventory_hostname }}.json"
    mode: "0644"
  delegate_to: localhost

- name: Read it back
  gpu_topology:
    recorded: "/tmp/{{ inventory_hostname }}.json"
  delegate_to: localhost
"""

RETURN = r"""
topology:
  description: The topology. Values that are not known are null.
  type: dict
  returned: success
  contains:
    schema: {description: Version of this shape., type: int}
    source: {description: "C(live), or C(recorded:PATH).", type: str}
    sources:
      description: Where each value was read, by the longest prefix of its path in RV(topology).
      type: dict
    host: {description: Node name (uname)., type: str}
    status:
      description: C(ok); C(degraded) (some GPUs or links could not be read); C(gpu_lost) (a lost
        GPU keeps all from being read); C(no_driver); C(no_gpu); C(driver_mismatch) (the library is
        newer than the loaded kernel module); C(timeout); C(error).
      type: str
    problems:
      description: What is wrong, each with C(code) and C(message), which says what to do.
      type: list
      elements: dict
    gpus:
      description: The GPUs in the driver's index order (NVML or nvidia-smi).
      type: list
      elements: dict
      contains:
        index: {description: Index., type: int}
        uuid: {description: UUID., type: str}
        pci: {description: "PCI address as sysfs writes it.", type: str}
        minor: {description: "Number N of /dev/nvidiaN, which need not be the index.", type: int}
        name: {description: Product name., type: str}
        memory_bytes: {description: Total memory in bytes., type: int}
        mig: {description: "C(enabled) or C(disabled), null where the GPU has no MIG.", type: str}
        lost: {description: Whether the driver cannot reach it., type: bool}
        numa_node: {description: "NUMA node (sysfs).", type: int}
        cpus: {description: "CPU list near it (sysfs).", type: str}
        bridges:
          description: PCI bridges above it, the root port first (sysfs); null where not known.
          type: list
          elements: str
        health:
          description: C(ecc_uncorrected_volatile) (errors since the driver was loaded),
            C(remap_pending) and C(remap_failure) (memory rows), C(pcie_gen_current),
            C(pcie_gen_max), C(pcie_width_current), C(pcie_width_max) (lanes).
          type: dict
    links:
      description: Link class between each two GPUs, in the order of RV(topology.gpus). X on the
        diagonal, NV1, NV2 and so on by the number of NVLinks, PIX, PXB, PHB, NODE, SYS. What
        the driver does not tell comes from the PCI bus in sysfs, which shows no NVLink; NONE where
        that does not tell either.
      type: list
      elements: list
    nvme:
      description: NVMe namespaces (sysfs).
      type: list
      elements: dict
      contains:
        name: {description: Block device., type: str}
        pci: {description: PCI address., type: str}
        numa_node: {description: NUMA node., type: int}
        model: {description: Model., type: str}
        size_bytes: {description: Size in bytes., type: int}
        mounts:
          description: File systems on it, also through partitions, RAID and device mapper. Each
            has C(path), C(device), C(fstype), C(options), C(size_bytes), C(free_bytes).
          type: list
          elements: dict
        distance:
          description: Link class to each GPU, in the order of RV(topology.gpus).
          type: list
          elements: str
    network:
      description: RDMA ports and physical network interfaces (sysfs).
      type: list
      elements: dict
      contains:
        name: {description: RDMA device or interface., type: str}
        kind: {description: C(rdma) or C(ethernet)., type: str}
        port: {description: Port of the RDMA device., type: int}
        state: {description: "Such as ACTIVE (RDMA) or up (interface).", type: str}
        link_layer: {description: InfiniBand or Ethernet., type: str}
        lid: {description: InfiniBand LID., type: int}
        rate: {description: Rate as the kernel prints it., type: str}
        netdev: {description: Interface of the same PCI function., type: str}
        pci: {description: PCI address., type: str}
        numa_node: {description: NUMA node., type: int}
        distance: {description: Link class to each GPU., type: list, elements: str}
    numa_nodes:
      description: NUMA nodes that have CPUs (sysfs).
      type: list
      elements: dict
      contains:
        node: {description: Number., type: int}
        cpus: {description: CPU list., type: str}
        cores: {description: CPU list of each physical core., type: list, elements: str}
        memory_bytes: {description: Memory in bytes., type: int}
        memory_free_bytes: {description: Free memory in bytes., type: int}
        hugepages:
          description: C(size_bytes), C(total) and C(free) (pages) for each size.
          type: list
          elements: dict
    cpu: {description: "C(model), C(online) (CPU list), C(sockets).", type: dict}
    driver: {description: "C(version), and C(cuda), the newest CUDA it can run.", type: dict}
    kernel_modules:
      description: Version, or C(loaded), of nvidia, nvidia_uvm, nvidia_fs, nvidia_peermem, gdrdrv;
        null where it is not loaded.
      type: dict
    memlock:
      description: C(soft_bytes) and C(hard_bytes) of the reading process, null for no limit.
      type: dict
    iommu: {description: "C(groups) (number), C(types), C(cmdline) (kernel options).", type: dict}
    acs:
      description: C(bridges) above GPUs that could be read (root only), and those of them that
        are C(redirecting) peer-to-peer traffic to the root complex.
      type: dict
    paths:
      description: For each of O(paths) its C(path), C(mount), C(devices) (disks), C(fstype),
        C(options), C(size_bytes), C(free_bytes) and C(own_bytes) (allocated below it).
      type: list
      elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.topology.probe import probe
from ansible.module_utils.dynfleet.topology.recorded import Unreadable, read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "recorded": {"type": "path"},
    "paths": {"type": "list", "elements": "path", "default": []},
    "timeout": {"type": "float", "default": 10},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    recorded = module.params["recorded"]
    try:
        topology = (
            read(recorded) if recorded else probe(module.params["paths"], module.params["timeout"])
        )
    except Unreadable as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"changed": False, "topology": topology}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
