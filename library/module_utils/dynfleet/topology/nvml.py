"""GPUs and links by NVML, through nvidia-ml-py where the host has it.

Everything here calls into the driver and may hang there: run it by `bounded.call`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from ansible.module_utils.dynfleet.topology.sysfs import address

# What a lost GPU does not tell.
UNKNOWN = ("uuid", "pci", "minor", "name", "memory_bytes", "mig")
# nvmlGpuTopologyLevel_t, as nvidia-smi names it.
LEVELS = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}


def available() -> bool:
    """Whether nvidia-ml-py is installed."""
    return importlib.util.find_spec("pynvml") is not None


def read() -> dict[str, Any]:
    """`driver`, `cuda`, `gpus`, `links` and `problems`. Raises what pynvml raises."""
    nvml: Any = importlib.import_module("pynvml")
    nvml.nvmlInit()
    reader = _Reader(nvml)
    gpus, handles = reader.gpus()
    version = reader.optional(nvml.nvmlSystemGetCudaDriverVersion)
    return {
        "driver": _text(reader.optional(nvml.nvmlSystemGetDriverVersion)),
        "cuda": None if version is None else f"{version // 1000}.{version % 1000 // 10}",
        "gpus": gpus,
        "links": reader.links(gpus, handles),
        "problems": reader.problems,
    }


def _text(value: Any) -> Any:
    """Old bindings return bytes."""
    return value.decode() if isinstance(value, bytes) else value


class _Reader:
    """One reading of all GPUs."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.problems: list[dict[str, str]] = []

    def optional(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A value that this GPU, driver or binding may lack: then None."""
        try:
            return function(*arguments)
        except self.nvml.NVMLError as error:
            if error.value == self.nvml.NVML_ERROR_GPU_IS_LOST:
                raise
            return None

    def gpus(self) -> tuple[list[dict[str, Any]], list[Any]]:
        """Facts and handle of each GPU in index order; no handle where the GPU is lost."""
        gpus, handles = [], []
        for index in range(self.nvml.nvmlDeviceGetCount()):
            try:
                handle = self.nvml.nvmlDeviceGetHandleByIndex(index)
                gpus.append(self._gpu(index, handle))
                handles.append(handle)
            except self.nvml.NVMLError as error:
                self.problems.append(
                    {"code": "gpu_lost", "message": f"NVML cannot reach GPU {index}: {error}"}
                )
                gpus.append({"index": index, **dict.fromkeys(UNKNOWN), "lost": True, "health": {}})
                handles.append(None)
        return gpus, handles

    def _gpu(self, index: int, handle: Any) -> dict[str, Any]:
        nvml = self.nvml
        mig = self.optional(nvml.nvmlDeviceGetMigMode, handle)
        rows = self.optional(nvml.nvmlDeviceGetRemappedRows, handle)
        memory = self.optional(nvml.nvmlDeviceGetMemoryInfo, handle)
        return {
            "index": index,
            "uuid": _text(nvml.nvmlDeviceGetUUID(handle)),
            "pci": address(_text(nvml.nvmlDeviceGetPciInfo(handle).busId)),
            "minor": self.optional(nvml.nvmlDeviceGetMinorNumber, handle),
            "name": _text(self.optional(nvml.nvmlDeviceGetName, handle)),
            "memory_bytes": None if memory is None else memory.total,
            "mig": None if mig is None else ("enabled" if mig[0] else "disabled"),
            "lost": False,
            "health": {
                "ecc_uncorrected_volatile": self.optional(
                    nvml.nvmlDeviceGetTotalEccErrors,
                    handle,
                    nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                    nvml.NVML_VOLATILE_ECC,
                ),
                "remap_pending": None if rows is None else bool(rows[2]),
                "remap_failure": None if rows is None else bool(rows[3]),
                "pcie_gen_current": self.optional(nvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
                "pcie_gen_max": self.optional(nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
                "pcie_width_current": self.optional(nvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
                "pcie_width_max": self.optional(nvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
            },
        }

    def links(self, gpus: list[dict[str, Any]], handles: list[Any]) -> list[list[str]]:
        """The link matrix; NONE to and from a lost GPU."""
        known = {gpu["pci"] for gpu in gpus}
        peers = [{} if one is None else self._peers(one, known) for one in handles]
        matrix = [["X"] * len(gpus) for _ in gpus]
        for one in range(len(gpus)):
            for other in range(one):
                link = self._link(one, other, gpus, handles, peers)
                matrix[one][other] = matrix[other][one] = link
        return matrix

    def _peers(self, handle: Any, known: set[Any]) -> dict[str, int]:
        """Active NVLinks by remote PCI address; `switch` for those that end at no GPU."""
        peers: dict[str, int] = {}
        for link in range(self.nvml.NVML_NVLINK_MAX_LINKS):
            if not self.optional(self.nvml.nvmlDeviceGetNvLinkState, handle, link):
                continue
            remote = self.optional(self.nvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
            end = "switch" if remote is None else address(_text(remote.busId))
            end = end if end in known else "switch"
            peers[end] = peers.get(end, 0) + 1
        return peers

    def _link(
        self,
        one: int,
        other: int,
        gpus: list[dict[str, Any]],
        handles: list[Any],
        peers: list[dict[str, int]],
    ) -> str:
        if handles[one] is None or handles[other] is None:
            return "NONE"
        direct = peers[one].get(gpus[other]["pci"], 0)
        if direct:
            return f"NV{direct}"
        switched = min(peers[one].get("switch", 0), peers[other].get("switch", 0))
        if switched and self._nvlink_works(handles[one], handles[other]):
            return f"NV{switched}"
        level = self.optional(
            self.nvml.nvmlDeviceGetTopologyCommonAncestor, handles[one], handles[other]
        )
        return LEVELS.get(level, "NONE")

    def _nvlink_works(self, one: Any, other: Any) -> bool:
        """Whether two GPUs on switches reach each other; a binding without the call says yes."""
        status = self.optional(
            self.nvml.nvmlDeviceGetP2PStatus, one, other, self.nvml.NVML_P2P_CAPS_INDEX_NVLINK
        )
        return status in (None, self.nvml.NVML_P2P_STATUS_OK)
