"""A process is known by what it was started with, and only that one is killed."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet import lab_processes, lab_write
from ansible.module_utils.dynfleet.lab_host_files import File

HYBRID = """\
30 24 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 24 0:27 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
32 24 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
33 24 0:29 / / rw - ext4 /dev/vda rw
"""


def test_control_groups_of_both_versions_are_found() -> None:
    found = lab_processes.control_group_mounts(HYBRID)
    assert found == ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"]


def test_only_the_process_with_the_very_argument_is_killed(tmp_path: Path) -> None:
    argument = f"--directory={tmp_path}/root"
    script = "import time; time.sleep(60)"
    ours = subprocess.Popen(["/usr/bin/python3", "-c", script, argument])
    alike = subprocess.Popen(["/usr/bin/python3", "-c", script, f"{argument}2"])
    try:
        deadline = time.monotonic() + 5
        while lab_processes.with_argument(argument) != [ours.pid]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        lab_processes.kill_argument(argument)
        assert ours.wait(timeout=5) == -9
        assert alike.poll() is None
    finally:
        for process in (ours, alike):
            process.kill()
            process.wait()


def test_a_pid_that_is_another_process_by_now_is_spared() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        lab_processes.kill(process.pid, lambda: False)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
    finally:
        process.kill()
        process.wait()


def test_a_link_on_a_hosts_disk_is_replaced_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("the machine's own")
    inside = tmp_path / "resolv.conf"
    inside.symlink_to(outside)
    wanted = File(b"nameserver 10.0.0.2\n")
    assert not lab_write.same(inside, wanted)
    lab_write.replace(inside, wanted)
    assert lab_write.same(inside, wanted)
    assert outside.read_text() == "the machine's own"
    lab_write.replace(inside, File(None))
    assert lab_write.same(inside, File(None))
