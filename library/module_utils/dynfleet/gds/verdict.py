"""Which path data takes between SSD and GPU, and why not the direct one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible.module_utils.dynfleet.engine.problem import Problem
from ansible.module_utils.dynfleet.gds.facts import Directory, Facts
from ansible.module_utils.dynfleet.gds.gdscheck import NVFS, P2PDMA, Check

ROUTES = ("nvidia-fs", "p2pdma")
# NVIDIA's GDS Support for NVMe: the first kernel and driver with PCI P2PDMA, the driver's setting.
P2PDMA_KERNEL, P2PDMA_DRIVER, STATIC_BAR = (6, 2), 565, "RMForceStaticBar1=1"
P2PDMA_OPTIONS = (
    "'options nvidia NVreg_RegistryDwords=\"RMForceStaticBar1=1;RmForceDisableIomapWC=1;\"' and "
    "'options nvme_core multipath=N' in /etc/modprobe.d, then update-initramfs -u and a restart"
)
RAW = "put the directory on ext4 or xfs, made on an NVMe partition itself (no LVM, RAID, LUKS)"
DOCA = (
    "the kernel's NVMe driver is not registered with nvidia-fs: install DOCA-OFED's NVMe driver, "
    "or set gds_route: p2pdma"
)


@dataclass(frozen=True)
class Verdict:
    """path: `direct` (nvidia-fs), `p2pdma`, `compat` (through the CPU) or `off`. reason: why, one
    sentence. problems: what keeps it from the direct path. notes: what may make it slow.
    """

    path: str
    reason: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def decide(facts: Facts, check: Check | None, route: str, allow_compat: bool) -> Verdict:
    """The path of a host that is to use GDS. check: of gdscheck, None where it is not there."""
    problems = tuple(_problems(facts, check, route, allow_compat))
    notes = tuple(_notes(facts))
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        path, does = (
            ("compat", "reads go through the CPU")
            if allow_compat
            else ("off", "no read could go to the GPU, and none may go through the CPU")
        )
        return Verdict(path, f"{does}: {problems[0].line()}{more}", problems, notes)
    proof = check.says() if check else "gdscheck is not there to confirm it"
    if route == "nvidia-fs":
        return Verdict(
            "direct", f"reads go to the GPU by nvidia-fs {facts.nvidia_fs}; {proof}", (), notes
        )
    return Verdict("p2pdma", f"reads go to the GPU by the kernel's PCI P2PDMA; {proof}", (), notes)


def _problems(
    facts: Facts, check: Check | None, route: str, allow_compat: bool
) -> Iterator[Problem]:
    yield from _driver(facts)
    yield from _nvidia_fs(facts) if route == "nvidia-fs" else _p2pdma(facts)
    if check is not None:
        yield from _gdscheck(check, route, allow_compat)
    for directory in facts.directories:
        yield from _directory(directory)


def _driver(facts: Facts) -> Iterator[Problem]:
    if not facts.driver:
        yield Problem(
            "the NVIDIA kernel module", "not loaded", "the open one", "install the driver (open)"
        )
    elif not facts.open_module:
        yield Problem(
            "the NVIDIA kernel module",
            f"the proprietary one ({facts.driver})",
            "the open one",
            "install the driver's open flavour: GDS supports no other since 1.7.2",
        )


def _nvidia_fs(facts: Facts) -> Iterator[Problem]:
    if facts.nvidia_fs is None:
        yield Problem(
            "the kernel module nvidia-fs",
            "not loaded",
            "loaded",
            "name its packages in gds_packages (nvidia-fs-dkms, nvidia-gds-13-0), for a driver of "
            "the same build; or set gds_route: p2pdma",
        )
    elif not facts.devices:
        yield Problem(
            "/dev/nvidia-fs*", "missing", "there", "look for nvidia-fs in the kernel's log (dmesg)"
        )
    elif facts.closed:
        yield Problem(
            ", ".join(facts.closed),
            "closed to group dynamo",
            "open to it",
            "udevadm trigger --settle /dev/nvidia-fs0; see /etc/udev/rules.d/60-dynamo-gds.rules",
        )


def _p2pdma(facts: Facts) -> Iterator[Problem]:
    kernel = tuple(int(part) for part in re.findall(r"\d+", facts.kernel)[:2])
    if kernel < P2PDMA_KERNEL or not facts.p2pdma:
        yield Problem(
            "PCI P2PDMA in the kernel",
            f"not there ({facts.kernel})",
            "Linux 6.2 or newer with CONFIG_PCI_P2PDMA",
            "install such a kernel, or set gds_route: nvidia-fs",
        )
    if facts.driver and int(facts.driver.split(".")[0]) < P2PDMA_DRIVER:
        yield Problem(
            "the GPU driver", facts.driver, f"{P2PDMA_DRIVER} or newer", "install a newer driver"
        )
    if facts.driver and STATIC_BAR not in facts.registry:
        yield Problem(
            "RegistryDwords of the NVIDIA module",
            f"'{facts.registry}'",
            f"one with {STATIC_BAR}",
            P2PDMA_OPTIONS,
        )
    if facts.multipath == "Y":
        yield Problem("multipath of nvme_core", "Y", "N", P2PDMA_OPTIONS)


def _gdscheck(check: Check, route: str, allow_compat: bool) -> Iterator[Problem]:
    mode = NVFS if route == "nvidia-fs" else P2PDMA
    if mode not in check.nvme:
        yield Problem(
            "gdscheck's word on NVMe",
            ", ".join(sorted(check.nvme)) or "unsupported",
            mode,
            DOCA if mode == NVFS else P2PDMA_OPTIONS,
        )
    if check.platform is False:
        yield Problem(
            "gdscheck's word on the platform", "not verified", "verified", "run gdscheck -p"
        )
    wanted = {"use_compat_mode": allow_compat, "use_pci_p2pdma": route == "p2pdma"}
    for name, value in wanted.items():
        seen = check.properties.get(name)
        if seen is not None and seen != str(value).lower():
            yield Problem(
                f"properties.{name} as cuFile reads it",
                seen,
                str(value).lower(),
                "another cufile.json or a CUFILE_ variable overrules /etc/dynamo/cufile.json",
            )


def _directory(directory: Directory) -> Iterator[Problem]:
    where = f"the file system of {directory.path}"
    options = directory.options.split(",")
    if directory.fstype not in ("ext4", "xfs"):
        yield Problem(where, directory.fstype or "unknown", "ext4 or xfs", RAW)
    elif directory.fstype == "ext4" and {"data=journal", "data=writeback"} & set(options):
        mode = next(option for option in options if option.startswith("data="))
        yield Problem(where, f"ext4 with {mode}", "data=ordered", "mount it with data=ordered")
    elif not re.fullmatch(r"nvme\d+n\d+(p\d+)?", directory.block):
        yield Problem(where, f"on {directory.block or 'no block device'}", "on NVMe itself", RAW)


def _notes(facts: Facts) -> Iterator[str]:
    translating = [kind for kind in facts.iommu if kind.startswith("DMA")]
    if translating:
        yield (
            f"the IOMMU translates ({', '.join(translating)}): GDS may fail or be slow; iommu=off "
            "is recommended, iommu=pt works on some platforms"
        )
    if facts.redirecting:
        yield (
            f"ACS sends traffic between devices through the root complex on "
            f"{', '.join(facts.redirecting)}: slow; turn ACS off in the firmware or by setpci"
        )
