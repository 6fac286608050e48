"""What gdscheck prints.

The texts follow NVIDIA's documentation (GDS Support for NVMe; for the modes the release notes of
1.16); they were not recorded, for there was no host with nvidia-fs.
"""

from __future__ import annotations

import pytest
from ansible.module_utils.dynfleet.gds.gdscheck import NotGdscheck, parse

TEXT = """\
 GDS release version: 1.15.1.6
 nvidia_fs version:  2.27 libcufile version: 2.12
 Platform: x86_64
 ============
 ENVIRONMENT:
 ============
 CUFILE_LOGGING_LEVEL : TRACE
 =====================
 DRIVER CONFIGURATION:
 =====================
 NVMe P2PDMA        : Unsupported
 NVMe               : Supported
 NVMeOF             : Unsupported
 Userspace RDMA     : Unsupported
 --rdma library        : Not Loaded (libcufile_rdma.so)
 =====================
 CUFILE CONFIGURATION:
 =====================
 properties.use_pci_p2pdma : false
 properties.use_compat_mode : false
 properties.max_direct_io_size_kb : 16384
 =========
 GPU INFO:
 =========
 GPU index 0 NVIDIA H200 bar:1 bar size (MiB):262144 supports GDS, IOMMU State: Disabled
 GPU index 1 NVIDIA H200 bar:1 bar size (MiB):262144 supports GDS, IOMMU State: Disabled
 ==============
 PLATFORM INFO:
 ==============
 IOMMU: disabled
 Platform verification succeeded
"""


def test_a_host_with_nvidia_fs() -> None:
    check = parse(TEXT)
    assert (check.release, check.nvidia_fs) == ("1.15.1.6", "2.27")
    assert check.nvme == {"nvfs"}
    assert check.properties["use_compat_mode"] == "false"
    assert check.properties["max_direct_io_size_kb"] == "16384"
    assert check.gpus == (0, 1)
    assert check.platform is True
    assert check.says() == "gdscheck of GDS 1.15.1.6 says of NVMe: nvfs"


@pytest.mark.parametrize(
    ("p2pdma", "nvme", "modes"),
    [
        ("Supported", "Supported", {"nvfs", "p2pdma"}),
        ("Supported", "Unsupported", {"p2pdma"}),
        ("Unsupported", "Unsupported", set()),
        # Since 1.16 in one line.
        ("", "compat", {"compat"}),
        ("", "p2pdma, compat", {"p2pdma", "compat"}),
        ("", "nvfs", {"nvfs"}),
    ],
)
def test_modes(p2pdma: str, nvme: str, modes: set[str]) -> None:
    text = TEXT.replace("NVMe               : Supported", f"NVMe               : {nvme}")
    line = "NVMe P2PDMA        : Unsupported"
    text = text.replace(f" {line}\n", f" NVMe P2PDMA : {p2pdma}\n" if p2pdma else "")
    assert parse(text).nvme == modes


def test_without_the_module_and_the_platform() -> None:
    text = TEXT.replace("nvidia_fs version:  2.27 libcufile", "libcufile")
    text = text.replace("verification succeeded", "verification error :")
    check = parse(text)
    assert check.nvidia_fs == ""
    assert check.platform is False
    assert parse(TEXT.replace(" Platform verification succeeded\n", "")).platform is None


@pytest.mark.parametrize("text", ["", "Segmentation fault\n", "error: no CUDA-capable device\n"])
def test_other_texts(text: str) -> None:
    with pytest.raises(NotGdscheck):
        parse(text)
