"""What a host needs to run the engine, and the report of what it lacks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import engine_preflight
import pytest
from ansible.module_utils.dynfleet.engine import host as engine_host
from ansible.module_utils.dynfleet.engine import preflight
from ansible.module_utils.dynfleet.engine.host import SHM, Host, parse_capabilities
from ansible.module_utils.dynfleet.engine.preflight import GIB, Wanted
from ansible.module_utils.dynfleet.engine.problem import Problem, report
from ansible.module_utils.testing import patch_module_args

WANTED = Wanted(
    cuda=13, driver_min="580", pythons=["3.12", "3.13"], glibc="2.39", workers=4, cpu_cache_gib=32
)
HOST = Host(
    python="3.12",
    glibc="2.41",
    shm_bytes=256 * GIB,
    missing_devices=(),
    capabilities={0: (9, 0), 1: (9, 0)},
)


def topology(**changes: Any) -> dict[str, Any]:
    return {
        "source": "live",
        "driver": {"version": "580.95.05", "cuda": "13.0"},
        "gpus": [{"index": n, "name": "NVIDIA H200", "minor": n} for n in range(2)],
        "problems": [],
        **changes,
    }


def host(**changes: Any) -> Host:
    return Host(**{**vars(HOST), **changes})


def lines(host: Host, topology: dict[str, Any], wanted: Wanted = WANTED) -> list[str]:
    return [problem.line() for problem in preflight.check(wanted, host, topology)]


def test_a_host_that_has_all() -> None:
    assert lines(HOST, topology()) == []


@pytest.mark.parametrize(
    ("have", "facts", "begins", "says"),
    [
        ({"python": "3.11"}, {}, "Python is 3.11, wanted is 3.12 or 3.13", "ansible_python"),
        ({"glibc": "2.36"}, {}, "the C library is glibc 2.36, wanted is glibc 2.39", "Debian 13"),
        ({"glibc": ""}, {}, "the C library is not glibc", ""),
        # 4 * (32 * 1.01 + 1) = 133.28
        ({"shm_bytes": 133 * GIB}, {}, f"{SHM} is 133.0 GiB, wanted is 133.3 GiB", "size=134G"),
        ({"shm_bytes": None}, {}, f"{SHM} is not mounted", "worker_cpu_cache_gib"),
        (
            {"missing_devices": ("/dev/nvidia-uvm",)},
            {},
            "device nodes: /dev/nvidia-uvm is missing",
            "nvidia-modprobe -u",
        ),
        (
            {"capabilities": {0: (7, 5), 1: (7, 0)}},
            {},
            "GPU 1 (NVIDIA H200) is of compute capability 7.0, wanted is 7.5 (Turing)",
            "placement_exclude",
        ),
        (
            {},
            {"driver": {"version": "570.211.01", "cuda": "12.8"}},
            "the GPU driver is 570.211.01, wanted is 580 or newer",
            "restart the host",
        ),
        (
            {},
            {"driver": {"version": "580.95.05", "cuda": "12.8"}},
            "the newest CUDA that the driver runs is 12.8, wanted is 13.0",
            "restart the host",
        ),
        (
            {},
            {
                "driver": {"version": None, "cuda": None},
                "problems": [{"code": "no_driver", "message": "nvidia-smi is not there"}],
            },
            "the GPU driver is nvidia-smi is not there, wanted is 580",
            "install it",
        ),
    ],
)
def test_what_is_refused(
    have: dict[str, Any], facts: dict[str, Any], begins: str, says: str
) -> None:
    (line,) = lines(host(**have), topology(**facts))
    assert line.startswith(begins)
    assert says in line


def test_enough_is_enough() -> None:
    assert lines(host(shm_bytes=134 * GIB, glibc="2.39"), topology()) == []
    assert lines(HOST, topology(driver={"version": "580", "cuda": None})) == []
    # What the driver does not tell is not held against it.
    assert lines(host(capabilities={}), topology()) == []


def test_a_recorded_topology_has_no_driver_to_ask() -> None:
    recorded = topology(source="recorded:x", driver={"version": None, "cuda": None})
    assert (
        lines(host(missing_devices=("/dev/nvidiactl",), capabilities={0: (7, 0)}), recorded) == []
    )
    assert lines(host(python="3.9"), recorded) != []


def test_report_has_every_problem() -> None:
    problem = Problem("this", "that", "the other", "mend it")
    assert report("gpu1", [problem, problem], "nothing was changed").splitlines() == [
        "gpu1: 2 problems; nothing was changed.",
        *["gpu1: this is that, wanted is the other: mend it"] * 2,
    ]


def test_capabilities_as_nvidia_smi_prints_them() -> None:
    assert parse_capabilities("0, 9.0\n1, 12.0\n") == {0: (9, 0), 1: (12, 0)}
    assert parse_capabilities('Field "compute_cap" is not a valid field to query.\n') == {}
    assert parse_capabilities("0, [N/A]\n") == {}


def test_this_host_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"  # a fake one
    smi.write_text("#!/bin/sh\necho 0, 9.0\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = engine_host.read([0], 5)
    assert found.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert preflight.parts(found.glibc) > (2, 0)
    assert found.shm_bytes and found.shm_bytes > 0
    assert found.capabilities == {0: (9, 0)}
    assert set(found.missing_devices) == {
        path
        for path in ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0")
        if not Path(path).exists()
    }
    assert engine_host.read([], 5, tmp_path).shm_bytes is None
    smi.write_text("#!/bin/sh\nsleep 5\n")
    assert engine_host.capabilities(0.1) == {}


@pytest.mark.parametrize("workers", [0, 100000])
def test_module(workers: int, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {
        "host": "gpu1",
        "topology": topology(source="recorded:x"),
        "cuda": 13,
        "driver_min": "580",
        "pythons": [f"{sys.version_info.major}.{sys.version_info.minor}"],
        "glibc": 2,
        "workers": workers,
        "cpu_cache_gib": 100,
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        engine_preflight.main()
    result = json.loads(capsys.readouterr().out)
    assert result["changed"] is False
    assert result.get("failed", False) is bool(workers)
    if workers:
        assert [problem["what"] for problem in result["problems"]] == [SHM]
        assert result["msg"].startswith(f"gpu1: 1 problem; nothing was changed.\ngpu1: {SHM} is ")
