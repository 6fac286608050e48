"""The whole topology of a host, live."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import gpus, host, network, pcie, storage, sysfs
from ansible.module_utils.dynfleet.topology.recorded import SCHEMA

# Where each value is read, by the longest prefix of its path in the topology.
SYSFS_SOURCES = {
    "gpus.numa_node": "sysfs: /sys/bus/pci/devices/PCI/numa_node",
    "gpus.cpus": "sysfs: /sys/bus/pci/devices/PCI/local_cpulist",
    "gpus.bridges": "sysfs: PCI path of each GPU",
    "nvme": "sysfs: /sys/block/NAME, /sys/bus/pci/devices/PCI",
    "nvme.mounts": "/proc/self/mountinfo, statvfs",
    "nvme.distance": "sysfs: PCI path of the device and of each GPU",
    "network": "sysfs: /sys/class/infiniband, /sys/class/net",
    "network.distance": "sysfs: PCI path of the device and of each GPU",
    "numa_nodes": "sysfs: /sys/devices/system/node/nodeN",
    "cpu": "/proc/cpuinfo, sysfs: /sys/devices/system/cpu",
    "kernel_modules": "sysfs: /sys/module/NAME/version",
    "memlock": "getrlimit of the reading process",
    "iommu": "sysfs: /sys/kernel/iommu_groups, /proc/cmdline",
    "acs": "sysfs: /sys/bus/pci/devices/PCI/config of the bridges above GPUs",
    "paths": "/proc/self/mountinfo, statvfs, sizes of the files below",
    "host": "uname",
}


def probe(paths: Sequence[str], seconds: float, root: Path = Path("/")) -> dict[str, Any]:
    """Everything about this host (the shape is documented in the module gpu_topology).

    paths: directories whose file systems are wanted. seconds: for NVML, and for nvidia-smi.
    root: where proc and sys are. The GPUs may be missing; then `status` and `problems` say why.
    """
    found = gpus.read(seconds, root)
    source = found["source"]
    pcie.complete(found, root)
    nodes = sysfs.nodes(root)
    cards = found["gpus"]
    return {
        "schema": SCHEMA,
        "source": "live",
        "sources": {"gpus": source, "links": source, "driver": source, **SYSFS_SOURCES},
        "host": platform.node(),
        "status": found["status"],
        "problems": found["problems"],
        "gpus": [{**gpu, "bridges": host.bridges(root, gpu["pci"])} for gpu in cards],
        "links": found["links"],
        "nvme": storage.nvme(root, cards, nodes),
        "network": network.network(root, cards, nodes),
        "numa_nodes": host.numa_nodes(root, nodes),
        "cpu": host.cpu(root),
        "driver": {"version": found["driver"], "cuda": found["cuda"]},
        "kernel_modules": host.kernel_modules(root),
        "memlock": host.memlock(),
        "iommu": host.iommu(root),
        "acs": host.acs(root, cards),
        "paths": [storage.directory(root, path) for path in paths],
    }
