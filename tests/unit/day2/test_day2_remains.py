"""What a stopped unit may have left: shared memory, processes, GPU memory."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.dynfleet.day2 import remains
from ansible.module_utils.dynfleet.topology import occupied

MAPS = """\
7f00-7f10 rw-s 00000000 00:1a 4 {shm}/psm_1a2b
7f10-7f20 rw-s 00000000 00:1a 5 {shm}/gone (deleted)
7f20-7f30 rw-s 00000000 00:1a 6 {shm}/flexkv cpu 0
7f30-7f40 r-xp 00000000 08:01 7 /usr/lib/libc.so.6
"""
# As printed on an H200, driver 580.159.04, by a process that held 1 GiB.
APPS = "GPU-44a33d3f-0dd9-1331-7d8e-00e9f8e64775, 471, 1542 MiB, /opt/v, x/bin/python3\n"


def test_shared_memory_that_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/maps").write_text(MAPS.format(shm="/dev/shm"))  # noqa: S108 - a fake
    (tmp_path / "dev/shm").mkdir(parents=True)
    for name in ("psm_1a2b", "flexkv cpu 0", "of another"):
        (tmp_path / "dev/shm" / name).touch()
    seen = remains.shared_memory([7, 8], tmp_path)
    assert seen == {"/dev/shm/psm_1a2b", "/dev/shm/flexkv cpu 0"}  # noqa: S108
    assert remains.everyone(tmp_path) == [7]


def test_processes_of_a_control_group_and_below(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup/system.slice/dynamo-worker@0.service"
    (group / "child").mkdir(parents=True)
    (group / "cgroup.procs").write_text("5\n4\n")
    (group / "child/cgroup.procs").write_text("9\n")
    assert remains.processes("/system.slice/dynamo-worker@0.service", tmp_path) == [4, 5, 9]
    assert remains.processes("/system.slice/other.service", tmp_path) == []
    assert remains.processes("", tmp_path) == []


def test_holders_of_gpu_memory() -> None:
    uuid = "GPU-44a33d3f-0dd9-1331-7d8e-00e9f8e64775"
    assert occupied.parse(APPS, [uuid]) == [
        occupied.Holder(uuid, 471, "/opt/v, x/bin/python3", "1542 MiB")
    ]
    assert occupied.parse(APPS, ["GPU-other"]) == []
    assert occupied.parse("", [uuid]) == []
    assert occupied.parse("No running processes found\n", [uuid]) == []
