"""Which path data takes, and why not the direct one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gds_probe
import pytest
from ansible.module_utils.dynfleet.gds import facts as gds_facts
from ansible.module_utils.dynfleet.gds.facts import Directory, Facts
from ansible.module_utils.dynfleet.gds.gdscheck import Check, parse
from ansible.module_utils.dynfleet.gds.verdict import decide
from ansible.module_utils.testing import patch_module_args
from test_gdscheck import TEXT

NVME = Directory("/nvme0/flexkv/0", "ext4", "rw,relatime", "nvme0n1p1")
FACTS = Facts(
    driver="580.95.05",
    open_module=True,
    registry="RMForceStaticBar1=1;RmForceDisableIomapWC=1;",
    nvidia_fs="2.27",
    devices=("/dev/nvidia-fs0",),
    closed=(),
    kernel="6.8.0-71-generic",
    p2pdma=True,
    multipath="N",
    iommu=("identity",),
    redirecting=(),
    directories=(NVME,),
)
CHECK = parse(TEXT)


def having(**changes: Any) -> Facts:
    return Facts(**{**vars(FACTS), **changes})


def saying(**changes: Any) -> Check:
    return Check(**{**vars(CHECK), **changes})


def on(**changes: str) -> Facts:
    return having(directories=(Directory(**{**vars(NVME), **changes}),))


def test_both_routes() -> None:
    direct = decide(FACTS, CHECK, "nvidia-fs", allow_compat=False)
    assert direct.path == "direct"
    assert direct.reason == (
        "reads go to the GPU by nvidia-fs 2.27; gdscheck of GDS 1.15.1.6 says of NVMe: nvfs"
    )
    check = saying(nvme=frozenset(("p2pdma",)), properties={"use_pci_p2pdma": "true"})
    p2pdma = decide(having(nvidia_fs=None, devices=()), check, "p2pdma", allow_compat=False)
    assert p2pdma.path == "p2pdma"
    assert "PCI P2PDMA" in p2pdma.reason
    assert decide(FACTS, None, "nvidia-fs", False).reason.endswith("is not there to confirm it")
    assert decide(on(fstype="xfs", block="nvme1n1"), CHECK, "nvidia-fs", False).path == "direct"


@pytest.mark.parametrize(
    ("facts", "begins", "mend"),
    [
        (having(driver=""), "the NVIDIA kernel module is not loaded", "install"),
        (
            having(open_module=False),
            "the NVIDIA kernel module is the proprietary one (580.95.05)",
            "open flavour",
        ),
        (having(nvidia_fs=None), "the kernel module nvidia-fs is not loaded", "gds_packages"),
        (having(devices=()), "/dev/nvidia-fs* is missing", "dmesg"),
        (
            having(closed=("/dev/nvidia-fs0",)),
            "/dev/nvidia-fs0 is closed to group dynamo",
            "udevadm trigger",
        ),
        (on(fstype="overlay", block=""), "the file system of /nvme0/flexkv/0 is overlay", "ext4"),
        (
            on(options="rw,data=writeback"),
            "the file system of /nvme0/flexkv/0 is ext4 with",
            "mount",
        ),
        (on(block="dm-0"), "the file system of /nvme0/flexkv/0 is on dm-0", "no LVM"),
        (on(block="md127"), "the file system of /nvme0/flexkv/0 is on md127", "no LVM"),
        (on(block="sda1"), "the file system of /nvme0/flexkv/0 is on sda1", "no LVM"),
    ],
)
def test_what_stands_in_the_way_of_nvidia_fs(facts: Facts, begins: str, mend: str) -> None:
    strict = decide(facts, CHECK, "nvidia-fs", allow_compat=False)
    (problem,) = strict.problems
    assert problem.line().startswith(begins)
    assert mend in problem.mend
    assert strict.path == "off"
    assert strict.reason.startswith("no read could go to the GPU, and none may go through the CPU")
    lenient = decide(facts, saying(properties={}), "nvidia-fs", allow_compat=True)
    assert lenient.path == "compat"
    assert lenient.reason.startswith(f"reads go through the CPU: {begins}")


@pytest.mark.parametrize(
    ("facts", "begins"),
    [
        (having(kernel="5.15.0-1"), "PCI P2PDMA in the kernel is not there (5.15.0-1)"),
        (having(p2pdma=False), "PCI P2PDMA in the kernel is not there"),
        (having(driver="550.54"), "the GPU driver is 550.54, wanted is 565 or newer"),
        (having(registry=""), "RegistryDwords of the NVIDIA module is ''"),
        (having(multipath="Y"), "multipath of nvme_core is Y"),
    ],
)
def test_what_stands_in_the_way_of_p2pdma(facts: Facts, begins: str) -> None:
    check = saying(nvme=frozenset(("p2pdma",)), properties={})
    (problem,) = decide(facts, check, "p2pdma", allow_compat=False).problems
    assert problem.line().startswith(begins)
    # Each is no matter to the other route.
    assert decide(facts, CHECK, "nvidia-fs", allow_compat=False).path == "direct"


def test_gdscheck_has_the_last_word() -> None:
    check = saying(nvme=frozenset(("compat",)), platform=False)
    told = [one.line() for one in decide(FACTS, check, "nvidia-fs", False).problems]
    assert told[0].startswith(
        "gdscheck's word on NVMe is compat, wanted is nvfs: the kernel's NVMe"
    )
    assert told[1].startswith("gdscheck's word on the platform is not verified")
    # It reads another cufile.json than ours.
    check = saying(properties={"use_compat_mode": "true", "use_pci_p2pdma": "false"})
    (problem,) = decide(FACTS, check, "nvidia-fs", False).problems
    assert problem.line().startswith("properties.use_compat_mode as cuFile reads it is true")
    assert decide(FACTS, check, "nvidia-fs", allow_compat=True).path == "direct"


def test_notes_do_not_refuse() -> None:
    verdict = decide(
        having(iommu=("DMA-FQ",), redirecting=("0000:00:01.0",)), CHECK, "nvidia-fs", False
    )
    assert verdict.path == "direct"
    assert "iommu=off" in verdict.notes[0]
    assert "0000:00:01.0" in verdict.notes[1]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The /proc, /sys and /dev of a host with GPUs, which is not there."""
    version = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n"
    write(tmp_path / "proc/driver/nvidia/version", version)
    write(
        tmp_path / "proc/driver/nvidia/params",
        'Mobile: 4\nRegistryDwords: "RMForceStaticBar1=1;"\n',
    )
    write(tmp_path / "proc/kallsyms", "0000000000000000 d p2pdma_pgmap_ops\n")
    write(tmp_path / "sys/module/nvme_core/parameters/multipath", "N\n")
    write(tmp_path / "sys/module/nvidia_fs/version", "2.27\n")
    write(tmp_path / "sys/kernel/iommu_groups/0/type", "identity\n")
    write(tmp_path / "dev/nvidia-fs0", "")
    mount = "40 28 {} / {} rw,relatime shared:1 - {} {} rw\n"
    write(
        tmp_path / "proc/self/mountinfo",
        mount.format("0:30", "/", "overlay", "overlay")
        + mount.format("259:1", "/nvme0", "ext4", "/dev/nvme0n1p1")
        + mount.format("253:0", "/nvme1", "xfs", "/dev/mapper/data"),
    )
    for number, name in (("259:1", "nvme0n1p1"), ("253:0", "dm-0")):
        (tmp_path / "sys/devices" / name).mkdir(parents=True)
        link = tmp_path / "sys/dev/block" / number
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "sys/devices" / name)
    return tmp_path


def test_facts(root: Path) -> None:
    found = gds_facts.read(["/nvme0/flexkv", "/nvme1/flexkv", "/srv"], [], "root", root)
    assert (found.driver, found.open_module, found.nvidia_fs) == ("580.95.05", True, "2.27")
    assert found.registry == "RMForceStaticBar1=1;"
    assert (found.p2pdma, found.multipath, found.iommu) == (True, "N", ("identity",))
    assert [(one.fstype, one.block) for one in found.directories] == [
        ("ext4", "nvme0n1p1"),
        ("xfs", "dm-0"),
        ("overlay", ""),
    ]


@pytest.mark.parametrize(
    ("mode", "group", "closed"),
    [
        (0o600, "root", True),
        (0o660, "root", False),
        (0o660, "daemon", True),
        (0o666, "daemon", False),
    ],
)
def test_devices_are_open_to_the_group(root: Path, mode: int, group: str, closed: bool) -> None:
    (root / "dev/nvidia-fs0").chmod(mode)
    found = gds_facts.read([], [], group, root)
    assert found.devices == ("/dev/nvidia-fs0",)
    assert (found.closed != ()) is closed
    assert gds_facts.read([], [], "no such group", root).closed == found.devices


def test_a_bare_host(tmp_path: Path) -> None:
    found = gds_facts.read(["/nvme0"], [], "root", tmp_path)
    assert (found.driver, found.nvidia_fs, found.devices, found.multipath) == ("", None, (), "")
    assert decide(found, None, "nvidia-fs", False).path == "off"


@pytest.mark.parametrize("check_mode", [False, True])
def test_module_loads_and_opens(
    check_mode: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stands in for modprobe, udev and gdscheck of a host with GPUs."""
    state = {"loaded": False, "open": False}
    commands: list[str] = []

    def read(*_: object) -> Facts:
        return having(
            nvidia_fs="2.27" if state["loaded"] else None,
            devices=("/dev/nvidia-fs0",) if state["loaded"] else (),
            closed=("/dev/nvidia-fs0",) if state["loaded"] and not state["open"] else (),
        )

    def run(argv: list[str], _seconds: int, **_: str) -> str:
        commands.append(" ".join(argv))
        if argv[0] == "modprobe" and "--dry-run" not in argv:
            state["loaded"] = True
        if argv[0] == "udevadm":
            state["open"] = True
        return TEXT if argv[-1] == "-p" else "insmod nvidia-fs.ko"

    monkeypatch.setattr(gds_probe, "read", read)
    monkeypatch.setattr(gds_probe, "run", run)
    arguments = {
        "directories": ["/nvme0"],
        "topology": {"gpus": []},
        "cufile": "/etc/dynamo/cufile.json",
        "gdscheck": str(tmp_path),
        "activate": True,
        "_ansible_check_mode": check_mode,
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        gds_probe.main()
    result = json.loads(capsys.readouterr().out)
    assert result["changed"] is True
    if check_mode:
        assert result["activated"] == ["load nvidia-fs"]
        assert commands == ["modprobe --dry-run --show-depends nvidia-fs"] * 2 + [f"{tmp_path} -p"]
    else:
        assert result["activated"] == ["load nvidia-fs", "open /dev/nvidia-fs0"]
        assert commands[-2:] == [
            "udevadm trigger --settle --action=change /dev/nvidia-fs0",
            f"{tmp_path} -p",
        ]
        assert result["path"] == "direct"


def test_commands_are_bounded() -> None:
    with pytest.raises(OSError, match="did not answer within 0"):
        gds_probe.run(["sleep", "5"], 0)
    with pytest.raises(OSError, match="false: "):
        gds_probe.run(["false"], 5)
