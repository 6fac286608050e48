"""Listening sockets, from /proc and against the port table."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dynfleet.ports import Listener
from ansible.module_utils.dynfleet.verify import listeners

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian CPU")

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  inode\n"
TCP = (
    HEAD
    + "   0: 0B004D0A:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 101 1\n"  # noqa: E501
    + "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1\n"  # noqa: E501
    + "   2: 0B004D0A:1F40 0C004D0A:D431 01 00000000:00000000 00:00000000 00000000   998        0 103 1\n"  # noqa: E501
)
TCP6 = (
    HEAD
    + "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 104 1\n"  # noqa: E501
    + "   1: 000080FE00000000FF00A8C0FE000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 105 1\n"  # noqa: E501
)
HTTP = Listener("10.77.0.11", 8000, "dynamo-frontend", "frontend_http", True)
RESPONSE = Listener("10.77.0.11", 8001, "dynamo-frontend", "frontend_response", False)
UNIT = "dynamo-frontend.service"
WORKER = "dynamo-worker@0.service"
# As seen on an H200: torch's store on every address, gloo's and ZeroMQ's sockets on loopback.
VLLM = [
    Listener("10.77.0.11", 9100, "dynamo-worker@0", "worker_system", True),
    Listener("127.0.0.1", 9300, "dynamo-worker@0", "worker_flexkv_metrics", False),
    *(
        Listener("::", port, "dynamo-worker@0", "worker_vllm", False)
        for port in range(21000, 21020)
    ),
]


def listening(address: str, port: int, unit: str, process: str = "python") -> dict[str, Any]:
    return {"address": address, "port": port, "pid": 7, "process": process, "unit": unit}


def test_parse_table() -> None:
    assert listeners.parse_table(TCP) == [("10.77.0.11", 8000, "101"), ("0.0.0.0", 22, "102")]
    assert listeners.parse_table(TCP6) == [
        ("::", 22, "104"),
        ("fe80::c0a8:ff:0:fe", 80, "105"),
    ]
    assert listeners.parse_table("") == []


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/dynamo-etcd.service\n", "dynamo-etcd.service"),
        (
            "0::/system.slice/system-dynamo\\x2dworker.slice/dynamo-worker@2.service\n",
            "dynamo-worker@2.service",
        ),
        ("0::/system.slice/dynamo-worker@2.service/engine\n", "dynamo-worker@2.service"),
        ("4:memory:/x.service\n1:name=systemd:/system.slice/ssh.service\n", "ssh.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", "session-1.scope"),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_parse_cgroup(text: str, unit: str) -> None:
    assert listeners.parse_cgroup(text) == unit


def test_read_from_a_process_tree(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TCP)
    for pid, inode in (("31", 101), ("7", 101), ("8", 999)):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd/3").symlink_to(f"socket:[{inode}]")
        (tmp_path / pid / "fd/4").symlink_to("/dev/null")
        (tmp_path / pid / "comm").write_text("python\n")
        (tmp_path / pid / "cgroup").write_text(f"0::/system.slice/{UNIT}\n")
    assert listeners.read(tmp_path) == [
        {"address": "0.0.0.0", "port": 22, "pid": 0, "process": "", "unit": ""},
        listening("10.77.0.11", 8000, UNIT),
    ]


def test_read_finds_a_real_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = [item for item in listeners.read() if item["port"] == port]
    assert (found["address"], found["pid"]) == ("127.0.0.1", os.getpid())


@pytest.mark.parametrize(
    ("sockets", "verdicts", "seen"),
    [
        pytest.param([("10.77.0.11", 8000, UNIT)], ["listed"], [], id="as in the table"),
        pytest.param(
            [("10.77.0.11", 8000, UNIT), ("10.77.0.11", 8001, UNIT)],
            ["listed", "listed"],
            [],
            id="with the one that may be open",
        ),
        pytest.param([], [], ["nothing listens there"], id="missing"),
        pytest.param(
            [("10.77.0.11", 8000, UNIT), ("0.0.0.0", 5555, UNIT)],
            ["listed", "wrong"],
            ["0.0.0.0:5555 of python (pid 7, dynamo-frontend.service)"],
            id="one more of our unit",
        ),
        pytest.param(
            [("10.77.0.11", 8000, UNIT), ("::", 5555, "dynamo-old.service")],
            ["listed", "wrong"],
            [":::5555 of python (pid 7, dynamo-old.service)"],
            id="a unit of ours that should not be",
        ),
        pytest.param(
            [("10.77.0.11", 8000, "nginx.service")],
            ["wrong"],
            ["10.77.0.11:8000 of python (pid 7, nginx.service)"],
            id="another unit in our place",
        ),
        pytest.param(
            [("10.77.0.11", 8000, UNIT), ("127.0.0.1", 8001, "")],
            ["listed", "wrong"],
            ["127.0.0.1:8001 of python (pid 7, no unit)"],
            id="our port on another address",
        ),
        pytest.param(
            [("10.77.0.11", 8000, UNIT), ("0.0.0.0", 22, "ssh.service")],
            ["listed", "foreign"],
            [],
            id="a site's own service",
        ),
    ],
)
def test_compare(sockets: list[tuple[str, int, str]], verdicts: list[str], seen: list[str]) -> None:
    judged, findings = listeners.compare(
        [listening(*item) for item in sockets], [HTTP, RESPONSE], {UNIT}
    )
    assert [item["verdict"] for item in judged] == verdicts
    assert [finding["seen"] for finding in findings] == seen
    assert all(finding["unit"] for finding in findings)


@pytest.mark.parametrize(
    ("address", "port", "unit", "verdict"),
    [
        ("::", 21001, WORKER, "listed"),
        ("127.0.0.1", 42179, WORKER, "engine"),
        ("127.0.0.1", 42179, UNIT, "wrong"),
        ("0.0.0.0", 42179, WORKER, "wrong"),
        ("::", 21020, WORKER, "wrong"),
        ("::", 21001, "nginx.service", "wrong"),
    ],
)
def test_what_vllm_opens_for_itself(address: str, port: int, unit: str, verdict: str) -> None:
    sockets = [listening("10.77.0.11", 9100, WORKER), listening(address, port, unit)]
    judged, findings = listeners.compare(sockets, VLLM, {WORKER})
    assert judged[1]["verdict"] == verdict
    assert len(findings) == (verdict == "wrong")


def test_listeners_of_a_unit_that_is_down_are_not_missed() -> None:
    assert listeners.compare([], [HTTP], set()) == ([], [])
