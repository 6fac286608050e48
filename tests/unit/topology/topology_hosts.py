"""Hosts that tests have not got: a fake nvidia-smi, a fake NVML binding, a /sys tree.

They stand in for hardware that is not there, and for nothing else: the code under test runs as it
is, in processes of its own.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

UUIDS = [f"GPU-0000000{index}-aaaa-bbbb-cccc-dddddddddddd" for index in range(4)]
PCIS = ["0000:18:00.0", "0000:3b:00.0", "0000:86:00.0", "0000:af:00.0"]


def gpu_xml(index: int, uuid: str | None = None, **values: str) -> str:
    """A `<gpu>` of `nvidia-smi -q -x`, with the elements that are read."""
    value = {
        "mig": "Disabled",
        "pending": "No",
        "failure": "No",
        "uncorrectable": "0",
        "width": "16x",
        **values,
    }
    return f"""<gpu id="0000{PCIS[index].upper()}">
<product_name>NVIDIA A40</product_name>
<mig_mode><current_mig>{value["mig"]}</current_mig></mig_mode>
<uuid>{uuid or UUIDS[index]}</uuid><minor_number>{index}</minor_number>
<pci><pci_gpu_link_info>
<pcie_gen><max_link_gen>4</max_link_gen><current_link_gen>1</current_link_gen></pcie_gen>
<link_widths><max_link_width>16x</max_link_width>
<current_link_width>{value["width"]}</current_link_width></link_widths>
</pci_gpu_link_info></pci>
<fb_memory_usage><total>46068 MiB</total></fb_memory_usage>
<ecc_errors><volatile><sram_uncorrectable>{value["uncorrectable"]}</sram_uncorrectable>
<dram_uncorrectable>0</dram_uncorrectable></volatile></ecc_errors>
<remapped_rows><remapped_row_pending>{value["pending"]}</remapped_row_pending>
<remapped_row_failure>{value["failure"]}</remapped_row_failure></remapped_rows>
</gpu>"""


def query_xml(gpus: Sequence[str]) -> str:
    """The document of `nvidia-smi -q -x`."""
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n'
        "<nvidia_smi_log><driver_version>580.95.05</driver_version>"
        f"<cuda_version>13.0</cuda_version>{''.join(gpus)}</nvidia_smi_log>"
    )


def fake_smi(folder: Path, query: str, topo: str, code: int = 0, sleep: int = 0) -> Path:
    """An nvidia-smi that prints these texts, or sleeps first."""
    (folder / "query.txt").write_text(query)
    (folder / "topo.txt").write_text(topo)
    script = folder / "nvidia-smi"
    script.write_text(
        f"#!/bin/sh\nsleep {sleep}\n"
        f'if [ "$1" = topo ]; then cat {folder}/topo.txt; else cat {folder}/query.txt; fi\n'
        f"exit {code}\n"
    )
    script.chmod(0o755)
    return script


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content + "\n")


def pci_device(root: Path, chain: Sequence[str], node: int, kind: str = "0x030200") -> Path:
    """A PCI function below its bridges, as sysfs shows it; returns its directory."""
    device = root / "sys/devices" / "/".join(chain)
    write(device / "numa_node", str(node))
    write(device / "class", kind)
    write(device / "vendor", "0x10de" if kind.startswith("0x03") else "0x15b3")
    write(device / "local_cpulist", "0-3" if node <= 0 else "4-7")
    link = root / "sys/bus/pci/devices" / chain[-1]
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(device)
    return device


def numa(root: Path, node: int, cpus: str, siblings: Sequence[str], kib: int) -> None:
    """A NUMA node with its cores; CPU n of `siblings` has the n-th list."""
    path = root / f"sys/devices/system/node/node{node}"
    write(path / "cpulist", cpus)
    write(path / "meminfo", f"Node {node} MemTotal:       {kib} kB\nNode {node} MemFree:   1024 kB")
    write(path / "hugepages/hugepages-2048kB/nr_hugepages", "8")
    write(path / "hugepages/hugepages-2048kB/free_hugepages", "6")
    for cores in siblings:
        for cpu in cores.split(","):
            write(path / f"cpu{cpu}/topology/thread_siblings_list", cores)


class FakeNvmlError(Exception):
    """NVMLError of the fake binding."""

    def __init__(self, value: int) -> None:
        self.value = value
        super().__init__(f"code {value}")


def fake_nvml(**changes: Any) -> types.ModuleType:
    """A pynvml of four GPUs: 0-1 by four direct NVLinks, 2-3 by 18 links to a switch."""
    module = types.ModuleType("pynvml")
    lost = 15

    def missing(*_: Any) -> Any:
        raise FakeNvmlError(3)  # not supported

    def state(handle: int, link: int) -> int:
        return int(link < (4 if handle < 2 else 18))

    def remote(handle: int, _: int) -> Any:
        if handle >= 2:
            return missing()
        return types.SimpleNamespace(busId=b"0000" + PCIS[1 - handle].upper().encode())

    functions: dict[str, Any] = {
        "NVMLError": FakeNvmlError,
        "NVML_ERROR_GPU_IS_LOST": lost,
        "NVML_MEMORY_ERROR_TYPE_UNCORRECTED": 1,
        "NVML_VOLATILE_ECC": 0,
        "NVML_NVLINK_MAX_LINKS": 18,
        "NVML_P2P_CAPS_INDEX_NVLINK": 2,
        "NVML_P2P_STATUS_OK": 0,
        "nvmlInit": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: b"580.95.05",
        "nvmlSystemGetCudaDriverVersion": lambda: 13000,
        "nvmlDeviceGetCount": lambda: 4,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetUUID": lambda handle: UUIDS[handle],
        "nvmlDeviceGetPciInfo": lambda handle: types.SimpleNamespace(
            busId="0000" + PCIS[handle].upper()
        ),
        "nvmlDeviceGetMinorNumber": lambda handle: handle,
        "nvmlDeviceGetName": lambda *_: "NVIDIA A40",
        "nvmlDeviceGetMemoryInfo": lambda *_: types.SimpleNamespace(total=1 << 30),
        "nvmlDeviceGetMigMode": missing,
        "nvmlDeviceGetRemappedRows": lambda *_: (0, 0, 0, 1),
        "nvmlDeviceGetTotalEccErrors": lambda *_: 0,
        "nvmlDeviceGetCurrPcieLinkGeneration": lambda *_: 1,
        "nvmlDeviceGetMaxPcieLinkGeneration": lambda *_: 4,
        "nvmlDeviceGetCurrPcieLinkWidth": lambda *_: 16,
        "nvmlDeviceGetMaxPcieLinkWidth": lambda *_: 16,
        "nvmlDeviceGetNvLinkState": state,
        "nvmlDeviceGetNvLinkRemotePciInfo": remote,
        "nvmlDeviceGetTopologyCommonAncestor": lambda *_: 50,
        "nvmlDeviceGetP2PStatus": lambda *_: 0,
    }
    for name, value in {**functions, **changes}.items():
        setattr(module, name, value)
    return module
