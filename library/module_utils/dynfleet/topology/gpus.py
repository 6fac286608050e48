"""The GPUs of this host and their links, whichever way they can be read. Never raises for them.

Statuses: ok; degraded (some GPUs are lost or links unread); gpu_lost (a lost GPU keeps all from
being read); no_driver; no_gpu; driver_mismatch (a new library with an old kernel module);
timeout; error. Each but ok has a problem that says what to do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology import bounded, nvml, smi, sysfs

# Words of nvidia-smi, the status they mean, and the mend.
MEANINGS = (
    ("couldn't communicate with the NVIDIA driver", "no_driver", "load the NVIDIA driver"),
    ("Driver Not Loaded", "no_driver", "load the NVIDIA driver (modprobe nvidia)"),
    ("version mismatch", "driver_mismatch", "reboot, or reload the NVIDIA modules"),
    ("No devices were found", "no_gpu", "see the kernel log for NVRM lines"),
    ("prints broken XML", "error", "run it on the host and look at that place"),
)


def read(seconds: float, root: Path = Path("/")) -> dict[str, Any]:
    """`source` (nvml or nvidia-smi), `status`, `problems`, `driver`, `gpus` and `links`.

    Takes at most about `seconds` for each of the two ways. NVML is left for nvidia-smi where
    nvidia-ml-py is missing, too old or fails; where it hangs, nvidia-smi would hang as well.
    """
    source, facts = _read(seconds)
    on_bus = sysfs.nvidia_gpus(root)
    facts.setdefault("status", "ok")
    facts["problems"] += _losses(facts["gpus"], on_bus, facts["problems"])
    if facts["status"] == "ok" and not facts["gpus"] and not facts["problems"]:
        there = f"{len(on_bus)} on the PCI bus: see the kernel log" if on_bus else "none on the bus"
        facts["status"] = "no_gpu"
        facts["problems"].append({"code": "no_gpu", "message": f"the driver shows no GPU; {there}"})
    if facts["status"] == "ok" and facts["problems"]:
        facts["status"] = "degraded" if facts["gpus"] else facts["problems"][0]["code"]
    _places(facts["gpus"], root)
    return {"source": source, **facts}


def _losses(
    gpus: list[dict[str, Any]], on_bus: list[str], problems: list[dict[str, str]]
) -> list[dict[str, str]]:
    """Problems of GPUs that the driver does not show or reach, where none names them yet.

    A lost GPU of unknown address gets that of the only one on the bus that the driver hides.
    """
    seen = {gpu["pci"] for gpu in gpus if not gpu["lost"]}
    told = " ".join(problem["message"] for problem in problems)
    unseen = [pci for pci in on_bus if seen and pci not in seen and pci not in told]
    lost = [gpu for gpu in gpus if gpu["lost"]]
    nameless = [gpu for gpu in lost if gpu["pci"] is None]
    if len(nameless) == len(unseen) == 1:
        nameless[0]["pci"] = unseen[0]
    found = [
        {
            "code": "gpu_unseen",
            "message": f"GPU {pci} is on the PCI bus, the driver does not show it",
        }
        for pci in unseen
    ]
    told += " ".join(problem["message"] for problem in found)
    for index, pci in [(gpu["index"], gpu["pci"]) for gpu in lost]:
        if not re.search(rf"\bGPU {index}\b", told) and (pci is None or pci not in told):
            name = f"{index} ({pci})" if pci else str(index)
            message = f"the driver does not reach GPU {name} any more"
            found.append({"code": "gpu_lost", "message": message})
    return found


def _read(seconds: float) -> tuple[str, dict[str, Any]]:
    if nvml.available():
        try:
            return "nvml", bounded.call(nvml.read, "NVML", seconds)
        except bounded.Hung as error:
            return "nvml", _hung(error)
        except bounded.Failed:
            pass  # nvidia-smi may be of the driver where the binding is not; else it says why
    return "nvidia-smi", _by_command(seconds)


def _by_command(seconds: float) -> dict[str, Any]:
    path = smi.program()
    if path is None:
        return _nothing("no_driver", "no nvidia-smi on this host: install the NVIDIA driver")
    try:
        return smi.read(path, seconds)
    except bounded.Hung as error:
        return _hung(error)
    except (bounded.Failed, OSError) as error:
        return _failed(str(error))


def _hung(error: bounded.Hung) -> dict[str, Any]:
    return _nothing("timeout", f"{error}: see the kernel log for Xid lines")


def _failed(said: str) -> dict[str, Any]:
    known = [(status, mend) for words, status, mend in MEANINGS if words.lower() in said.lower()]
    status, mend = known[0] if known else ("error", "see the kernel log for NVRM lines")
    return _nothing(status, f"{said}: {mend}")


def _nothing(status: str, message: str) -> dict[str, Any]:
    """The answer where no GPU could be read."""
    return {
        "status": status,
        "problems": [{"code": status, "message": message}],
        "driver": None,
        "cuda": None,
        "gpus": [],
        "links": [],
    }


def _places(gpus: list[dict[str, Any]], root: Path) -> None:
    """Add NUMA node and local CPUs of each GPU, from sysfs."""
    nodes = sysfs.nodes(root)
    for gpu in gpus:
        device = root / sysfs.DEVICES / (gpu["pci"] or "none")
        gpu["numa_node"] = gpu["pci"] and sysfs.numa_node(root, gpu["pci"], nodes)
        gpu["cpus"] = sysfs.text(device / "local_cpulist") or None
