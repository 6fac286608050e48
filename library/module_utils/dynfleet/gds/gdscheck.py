"""What NVIDIA's `gdscheck -p` prints, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# How cuFile can read an NVMe device: by nvidia-fs, by the kernel's own PCI P2PDMA, or through the
# CPU. Until GDS 1.15 a line for each of the first two says Supported; since 1.16 one line names
# the modes (release notes of GDS 1.16).
NVFS, P2PDMA, COMPAT = "nvfs", "p2pdma", "compat"
MODES = frozenset((NVFS, P2PDMA, COMPAT))
_RULE = re.compile(r"\s*=+\s*")
_GPU = re.compile(r"GPU index (\d+) .*?supports GDS")


class NotGdscheck(ValueError):
    """The text is not what gdscheck prints."""


@dataclass(frozen=True)
class Check:
    """release: of GDS. nvidia_fs: version of the loaded module, or empty. nvme: modes, see MODES.
    properties: those of the cufile.json that was read, without `properties.`. gpus: indices of GPUs
    that support GDS. platform: whether the platform was verified, None where it does not say.
    """

    release: str
    nvidia_fs: str
    nvme: frozenset[str]
    properties: Mapping[str, str]
    gpus: tuple[int, ...]
    platform: bool | None

    def says(self) -> str:
        """Its word on NVMe, for people."""
        modes = ", ".join(sorted(self.nvme)) or "unsupported"
        return f"gdscheck of GDS {self.release} says of NVMe: {modes}"


def parse(text: str) -> Check:
    """Read the output of `gdscheck -p`. Raises NotGdscheck."""
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not _RULE.fullmatch(line)
    ]
    if "DRIVER CONFIGURATION:" not in lines:
        raise NotGdscheck("it has no section DRIVER CONFIGURATION")
    pairs: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            pairs.setdefault(name.strip(), value.strip())
    version = re.search(r"nvidia_fs version:\s*([\d.]+)", text)
    return Check(
        release=pairs.get("GDS release version", "unknown"),
        nvidia_fs=version.group(1) if version else "",
        nvme=_nvme(pairs),
        properties={
            name[len("properties.") :]: value
            for name, value in pairs.items()
            if name.startswith("properties.")
        },
        gpus=tuple(int(index) for index in _GPU.findall(text)),
        platform=_platform(text),
    )


def _nvme(pairs: Mapping[str, str]) -> frozenset[str]:
    value = pairs.get("NVMe", "")
    found = set(re.findall(r"[a-z0-9_-]+", value.lower())) & MODES
    if value == "Supported":
        found.add(NVFS)
    if pairs.get("NVMe P2PDMA") == "Supported":
        found.add(P2PDMA)
    return frozenset(found)


def _platform(text: str) -> bool | None:
    if "Platform verification succeeded" in text:
        return True
    return False if re.search(r"Platform verification (error|failed)", text) else None
