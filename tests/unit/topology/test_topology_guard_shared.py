"""Guards that start at the same time: one asks the driver, the others take its answer.

The guards are real processes. nvidia-smi is a fake, for no GPU is at hand: like a driver without
nvidia-persistenced it serves one caller after another, each after a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.placement.plan import make_plan
from ansible.module_utils.dynfleet.placement.wishes import Wishes
from ansible.module_utils.dynfleet.topology import bounded, gpus, guard, pcie, shared, sysfs
from topology_captures import FOUR, PLAIN
from topology_hosts import PCIS, UUIDS, gpu_xml, numa, pci_device, query_xml

SAME, DIFFERENT, UNKNOWN = 0, 1, 2
ALL = query_xml([gpu_xml(index) for index in range(4)])


def facts(links: list[list[str]]) -> dict[str, Any]:
    """Four GPUs as this machine would show them."""
    nodes = sysfs.nodes(Path("/"))
    return {
        "gpus": [
            {
                "index": index,
                "uuid": UUIDS[index],
                "pci": PCIS[index],
                "numa_node": sysfs.numa_node(Path("/"), PCIS[index], nodes),
                "mig": "disabled",
                "lost": False,
            }
            for index in range(4)
        ],
        "links": links,
        "source": "live",
        "problems": [],
    }


class Host:
    """Starts guards; `seconds` is what one call of nvidia-smi takes."""

    def __init__(self, guard: Path, folder: Path, seconds: float) -> None:
        self.guard, self.folder = guard, folder
        self.share = folder / "share"
        self.share.mkdir(mode=0o700)
        self.calls = folder / "calls"
        self.calls.touch()
        self.keep(make_plan(facts(FOUR), Wishes(group_size=2), "gpu1"))
        (folder / "query.xml").write_text(ALL)
        (folder / "topo.txt").write_text(PLAIN)
        self.smi(seconds)

    def keep(self, plan: dict[str, Any]) -> None:
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def smi(self, seconds: float, code: int = 0) -> None:
        """An nvidia-smi that notes its calls and serves them one at a time."""
        script = self.folder / "nvidia-smi"
        script.write_text(
            f'#!/bin/sh\necho "$1" >>{self.calls}\n'
            f"flock {self.folder}/driver sleep {seconds}\n"
            f'if [ "$1" = topo ]; then cat {self.folder}/topo.txt; exit {code}; fi\n'
            f"cat {self.folder}/query.xml\n"
        )
        script.chmod(0o755)

    def readings(self) -> int:
        """How often the driver was asked for everything."""
        return self.calls.read_text().split().count("-q")

    def start(self, worker: int, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-I", str(self.guard), "--plan", f"{self.folder}/plan.json"),
                *("--worker", str(worker), "--share", str(self.share), *more),
            ],
            env={"PATH": f"{self.folder}:/usr/bin:/bin"},
            stderr=subprocess.PIPE,
            text=True,
        )


def ended(started: list[subprocess.Popen[str]]) -> list[int]:
    """Exit status of each."""
    for process in started:
        process.communicate(timeout=60)
    return [process.returncode for process in started]


@pytest.fixture
def host(guard: Path, tmp_path: Path) -> Host:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver that answers before the fake")
    return Host(guard, tmp_path, 1)


def test_eight_at_once(host: Host) -> None:
    """Each for itself they would need 16 calls of a second each, and have 8 seconds."""
    begun = time.monotonic()
    started = [host.start(number % 2, "--timeout", "8") for number in range(8)]
    assert ended(started) == [SAME] * 8
    assert time.monotonic() - begun < 15
    assert 1 <= host.readings() <= 2


def test_one_of_eight_is_refused(host: Host) -> None:
    """On a reading of its own; the others are not held up by it."""
    plan = json.loads((host.folder / "plan.json").read_text())
    plan["workers"][1]["links"][0][1] = plan["workers"][1]["links"][1][0] = "NV18"
    host.keep(plan)
    started = [host.start(int(number == 3), "--timeout", "8") for number in range(8)]
    assert ended(started) == [DIFFERENT if number == 3 else SAME for number in range(8)]
    assert 1 <= host.readings() <= 3


def test_a_refusal_needs_a_reading_of_its_own(host: Host) -> None:
    """What another process saw may be another view; here the driver has come back meanwhile."""
    host.smi(0)
    (host.folder / "query.xml").write_text(query_xml([gpu_xml(0), gpu_xml(1)]))
    (host.folder / "topo.txt").write_text("\n".join(PLAIN.splitlines()[:3]))
    assert ended([host.start(1)]) == [DIFFERENT]
    (host.folder / "query.xml").write_text(ALL)
    (host.folder / "topo.txt").write_text(PLAIN)
    assert ended([host.start(1)]) == [SAME]


def test_a_prober_that_was_killed_holds_nobody_up(host: Host) -> None:
    """Its nvidia-smi lives on, as one that hangs in the driver does."""
    host.smi(30)
    first = host.start(0)
    while not host.readings():
        time.sleep(0.05)
    first.kill()
    first.communicate(timeout=10)
    host.smi(0)
    (host.folder / "driver").unlink()
    begun = time.monotonic()
    assert ended([host.start(1)]) == [SAME]
    assert time.monotonic() - begun < 5


@pytest.fixture
def stopped(host: Host) -> Iterator[subprocess.Popen[str]]:
    """A guard that stands still while it reads."""
    process = host.start(0)
    while not host.readings():
        time.sleep(0.05)
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.communicate(timeout=10)


@pytest.mark.usefixtures("stopped")
def test_a_prober_that_stands_still_holds_nobody_up_for_ever(host: Host) -> None:
    host.smi(0)
    begun = time.monotonic()
    assert ended([host.start(1, "--timeout", "2") for _ in range(3)]) == [SAME] * 3
    assert time.monotonic() - begun < 30
    assert host.readings() <= 3


def test_a_hung_driver_is_said_to_each(host: Host) -> None:
    host.smi(60)
    begun = time.monotonic()
    started = [host.start(0, "--timeout", "0.5") for _ in range(3)]
    told = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [UNKNOWN] * 3
    assert time.monotonic() - begun < 20
    assert all("did not answer in time" in one for one in told)


@pytest.mark.parametrize("change", ["boot", "old", "future", "broken"])
def test_a_reading_that_is_not_trusted(host: Host, change: str) -> None:
    host.smi(0)
    assert ended([host.start(0)]) == [SAME]
    kept = host.share / shared.READING
    reading = json.loads(kept.read_text())
    if change == "boot":
        reading["boot"] = "another"
    else:
        reading["made"] += {"old": -60, "future": 60, "broken": 0}[change]
    kept.write_text("{" if change == "broken" else json.dumps(reading))
    assert ended([host.start(0)]) == [SAME]
    assert host.readings() == 2


def test_a_recent_reading_is_trusted(tmp_path: Path) -> None:
    def read() -> dict[str, Any]:
        return {"number": 1}

    def fails() -> dict[str, Any]:
        raise AssertionError("it was asked again")

    assert shared.reading(tmp_path, read, lambda _: True, 1) == {"number": 1}
    assert shared.reading(tmp_path, fails, lambda _: True, 1) == {"number": 1}
    with pytest.raises(AssertionError):
        shared.reading(tmp_path, fails, lambda _: False, 1)


@pytest.mark.parametrize("what", ["missing", "file", "link"])
def test_where_nothing_can_be_shared_each_reads_for_itself(host: Host, what: str) -> None:
    host.smi(0)
    host.share.rmdir()
    if what == "file":
        host.share.touch()
    if what == "link":
        host.share.mkdir()
        for name in shared.LOCKS:
            (host.share / name).symlink_to(host.folder / "elsewhere")
    assert ended([host.start(0), host.start(1)]) == [SAME, SAME]
    assert host.readings() == 2
    assert not (host.folder / "elsewhere").exists()


def test_a_directory_of_another_user_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared.usable(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert not shared.usable(tmp_path)


def test_links_that_cannot_be_read_are_no_other_links(host: Host) -> None:
    host.smi(0, code=255)
    (host.folder / "topo.txt").write_text("Failed to run topology matrix")
    process = host.start(0)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == UNKNOWN
    assert "said 'Failed to run topology matrix' (exit 255)" in told
    assert "link GPU 0 - GPU 1 was NV4, is NONE" in told


class TestLinksByTheBus:
    """A plan whose links the driver did not tell; GPU n sits alone below its own root port."""

    @pytest.fixture
    def plan(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        for pci in PCIS:
            pci_device(tmp_path, ["pci0000:10", f"0000:10:{pci[5:7]}.0", pci], 0)
        numa(tmp_path, 0, "0-3", ["0,1", "2,3"], 1024)
        monkeypatch.setattr(guard, "ROOT", tmp_path)
        found = facts([["X" if a == b else "NONE" for b in range(4)] for a in range(4)])
        pcie.complete({**found, "status": "ok"}, tmp_path)
        assert found["links"][0][1] == "PHB"
        return make_plan(found, Wishes(), "gpu1")

    @staticmethod
    def told(monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any], links: Any) -> list[str]:
        now = {**facts(links), "status": "ok"}
        monkeypatch.setattr(gpus, "read", lambda _: now)
        return guard.compare(plan, 0, 1, None)

    def test_it_is_the_same_by_the_bus_and_by_the_driver(
        self, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
    ) -> None:
        assert plan["links_from_sysfs"]
        nothing = [["X" if a == b else "NONE" for b in range(4)] for a in range(4)]
        assert self.told(monkeypatch, plan, nothing) == []
        assert self.told(monkeypatch, plan, FOUR) == []

    def test_a_link_that_nothing_told_is_no_change_once_it_is_known(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nothing = [["X" if a == b else "NONE" for b in range(4)] for a in range(4)]
        plan = make_plan(facts(nothing), Wishes(layout=(("0", "1"),)), "gpu1")
        assert self.told(monkeypatch, plan, FOUR) == []
        plan["workers"][0]["gpus"][0]["pci"] = "0000:01:00.0"
        assert self.told(monkeypatch, plan, FOUR) != []

    def test_a_gpu_that_moved_on_the_bus_is_told(
        self, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
    ) -> None:
        plan["workers"][0]["links"][0][1] = plan["workers"][0]["links"][1][0] = "PIX"
        assert self.told(monkeypatch, plan, FOUR) == ["link GPU 0 - GPU 1 was PIX, is PHB"]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A directory both locks of which a process holds that never reads."""
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import fcntl, sys, time\n"
            "held = [open(one, 'w') for one in sys.argv[1:]]\n"
            "[fcntl.lockf(one, fcntl.LOCK_EX) for one in held]\n"
            "print('held', flush=True); time.sleep(60)",
            *(str(tmp_path / one) for one in shared.LOCKS),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    yield tmp_path
    holder.kill()
    holder.communicate()


def test_the_wait_ends(held: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(bounded.Hung, match="other starts have been asking the driver for 1 s"):
        shared.reading(held, dict, lambda _: True, 0.5)
    assert time.monotonic() - begun < 5
