"""UCX's choice of transport, out of its own words, and what is made of it.

The texts without RDMA were printed by nixl-cu13 1.3.2 (UCX 1.21) on a machine without any; those
with RDMA are written after the same format, for there was no such device.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nixl_probe
import pytest
from ansible.module_utils.dynfleet import sandboxed
from ansible.module_utils.dynfleet.engine import agents, ucx
from ansible.module_utils.dynfleet.engine.ucx import Lane
from ansible.module_utils.testing import patch_module_args

WELL = {"error": "", "plugins": ["UCX"]}


def table(where: str, chosen: str, operation: str = "remote memory write by ucp_put*") -> str:
    begin = "[1795500608.682811] [vm:2520 :0]  "
    line = f"{begin} +--------------------------------+-----------+------------+\n"
    return (
        f"{line}{begin} | ucp_context_0 {where} cfg#1 | {operation} from host memory to host    |\n"
        f"{line}{begin} |                         0..inf | zero-copy                | {chosen} |\n"
        f"{line}"
    )


INSIDE = (
    table("self", "self/memory")
    + table("intra-node", "tcp/lo", "active message by ucp_am_send*")
    + table("intra-node", "cma/memory")
)
TWO = table("intra-node", "52% on tcp/lo and 48% on tcp/eth0")
RDMA = table("inter-node", "rc_mlx5/mlx5_0:1")
# Ranges of sizes, as UCX prints them for other operations.
RANGES = table("intra-node", "tcp/lo").replace(
    "0..inf | zero-copy                | tcp/lo |",
    "0..92 | short                    | sysv/memory |\n"
    "x |                   93..1048575 | zero-copy  | tcp/lo |\n"
    "x |                  1048576..inf | multi-frag | rc_mlx5/mlx5_3:1 |",
)
ABSENT = (
    "[1795500590.080723] [vm:2055 :0]     ucp_context.c:1433 UCX  WARN  network device 'mlx5_0:1' "
    "is not available, please use one or more of: 'eth0'(tcp), 'lo'(tcp)\n"
) * 2


def test_lanes() -> None:
    assert ucx.lanes(INSIDE) == [Lane("cma", "memory", 100)]
    assert ucx.lanes(TWO) == [Lane("tcp", "lo", 52), Lane("tcp", "eth0", 48)]
    assert ucx.lanes(RDMA) == [Lane("rc_mlx5", "mlx5_0:1", 100)]
    assert ucx.lanes(RANGES) == [Lane("rc_mlx5", "mlx5_3:1", 100)]
    assert ucx.lanes(RANGES, 64) == [Lane("sysv", "memory", 100)]
    assert ucx.lanes(table("self", "self/memory")) == []
    assert ucx.lanes(ABSENT) == []


def test_complaints() -> None:
    assert ucx.complaints(ABSENT) == [
        "network device 'mlx5_0:1' is not available, please use one or more of: "
        "'eth0'(tcp), 'lo'(tcp)"
    ]
    assert ucx.complaints(INSIDE) == []


def test_judge() -> None:
    assert ucx.judge(["mlx5_0:1"], WELL, RDMA) == []
    # Without RDMA in the plan there is nothing better than TCP.
    assert ucx.judge([], WELL, TWO) == []
    (slow,) = ucx.judge(["mlx5_0:1"], WELL, TWO)
    assert slow.line().startswith(
        "NIXL between hosts, on mlx5_0:1 is by tcp on lo and tcp on eth0, wanted is by RDMA: see"
    )
    (broken,) = ucx.judge(["mlx5_0:1"], {"error": "NIXL cannot use UCX", "plugins": []}, ABSENT)
    assert "NIXL cannot use UCX; UCX: network device 'mlx5_0:1' is not available" in broken.line()
    assert "ibv_devinfo" in broken.mend
    (missing,) = ucx.judge([], {"error": "the release has no nixl_cu13", "plugins": []}, "")
    assert "another release set" in missing.mend


def test_sentence() -> None:
    assert (
        ucx.sentence(ucx.lanes(INSIDE), ucx.lanes(RDMA))
        == "NIXL goes by cma within the host, and by rc_mlx5 on mlx5_0:1 between hosts"
    )


def test_a_release_without_nixl() -> None:
    with pytest.raises(agents.NoTransfer, match="the release has no nixl_cu99"):
        agents.load(99)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Environments of the trials; these are stood in for by text."""
    seen: list[dict[str, str]] = []

    class Done:
        stdout = json.dumps(WELL)
        stderr = ""

    def run(_program: object, _arguments: object, **options: Any) -> Done:
        environment = options["environment"]
        seen.append(environment)
        done = Done()
        done.stderr = INSIDE
        if "UCX_TLS" in environment:
            done.stderr = RDMA if "mlx5_0:1" in environment.get("UCX_NET_DEVICES", "") else TWO
        return done

    monkeypatch.setattr(sandboxed, "run", run)
    return seen


def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, **changes: Any) -> dict[str, Any]:
    arguments = {
        "host": "gpu1",
        "release": "/opt/dynamo/releases/one",
        "cuda": 13,
        "workers": [{"net_devices": ["mlx5_0:1"]}, {"net_devices": ["mlx5_0:1"]}],
        "stamp": str(tmp_path / "nixl.json"),
        **changes,
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        nixl_probe.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_module_tries_once_a_release_and_devices(
    trials: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = call(capsys, tmp_path, _ansible_check_mode=True)
    assert (checked["changed"], checked["tried"], trials) == (True, False, [])
    first = call(capsys, tmp_path)
    assert (first["changed"], first["tried"]) == (True, True)
    assert first["summary"].endswith("by rc_mlx5 on mlx5_0:1 between hosts")
    # One set of devices between hosts, and one trial within the host, as workers have it.
    assert [trial.get("UCX_TLS") for trial in trials] == ["^sm,self", None]
    assert {trial["UCX_NET_DEVICES"] for trial in trials} == {"mlx5_0:1"}
    again = call(capsys, tmp_path)
    assert (again["changed"], again["tried"]) == (False, False)
    assert again["summary"] == first["summary"]
    other = call(capsys, tmp_path, release="/opt/dynamo/releases/two")
    assert (other["changed"], other["tried"]) == (True, True)


def test_module_keeps_nothing_of_a_refusal(
    trials: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = [{"net_devices": ["mlx5_0:1"]}, {"net_devices": ["mlx5_9:1"]}]
    result = call(capsys, tmp_path, workers=workers)
    assert result["failed"] is True
    assert "on mlx5_9:1 is by tcp" in result["msg"]
    assert len(result["problems"]) == 1
    assert not (tmp_path / "nixl.json").exists()
