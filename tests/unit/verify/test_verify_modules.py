"""The modules as Ansible calls them; systemctl and journalctl are stood in for by text."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import service_probe
import unit_probe
import verify_report
from ansible.module_utils.dynfleet.verdict import Seen, judge
from ansible.module_utils.dynfleet.verify.units import observe
from ansible.module_utils.testing import patch_module_args
from stand_in import StandIn

ROOT = Path(__file__).resolve().parents[3]
SHOW = """\
Id=dynamo.target
LoadState=loaded
ActiveState=active
SubState=active
UnitFileState=enabled

Id=dynamo-worker@0.service
LoadState=loaded
ActiveState=failed
SubState=failed
MainPID=0
NRestarts=4
UnitFileState=enabled

Id=dynamo-worker@7.service
LoadState=loaded
ActiveState=active
SubState=running
MainPID=0
UnitFileState=enabled
"""


def call(module: Any, capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What commands answer, by name."""
    answers = {"systemctl": SHOW, "journalctl": "INFO up\nERROR out of memory\n"}
    monkeypatch.setattr(unit_probe, "run", lambda *command: answers[command[0]])
    return answers


def test_unit_probe(
    commands: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.json"
    ports = {"system": 9100, "request": 9200}
    plan.write_text(json.dumps({"workers": [{"index": 0, "ports": ports}]}))
    result = call(
        unit_probe, capsys, units=[{"name": "dynamo.target"}], plan=str(plan), address="10.0.0.6"
    )
    target, worker, stranger = result["units"]
    assert (target["name"], target["expected"]) == ("dynamo.target", True)
    assert "log" not in target
    assert (worker["active"], worker["restarts"]) == ("failed", 4)
    assert worker["log"] == ["ERROR out of memory"]
    assert (stranger["name"], stranger["expected"]) == ("dynamo-worker@7.service", False)
    assert result["ports"] == {"0": ports}
    assert result["workers"] == []  # none that could serve
    assert result["changed"] is False


def test_unit_probe_reads_the_log_of_suspects(
    commands: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    units = [{"name": "dynamo.target"}]
    result = call(unit_probe, capsys, units=units, suspects=["dynamo.target"])
    assert result["units"][0]["log"] == ["ERROR out of memory"]


def test_unit_probe_without_systemd(
    commands: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    commands["systemctl"] = "System has not been booted with systemd as init system\n"
    result = call(unit_probe, capsys, units=[{"name": "dynamo.target"}])
    assert result["failed"] is True
    assert "not been booted" in result["msg"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "no such file"),
        ("{", "not a plan: JSONDecodeError"),
        ("{}", "not a plan: KeyError"),
        ('{"workers": [{"index": 0, "ports": {}}]}', "not a plan: KeyError 'system'"),
        ('{"workers": 1}', "not a plan: TypeError"),
    ],
)
def test_plans_that_are_none(tmp_path: Path, content: str | None, error: str) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    ports, seen = unit_probe.read_plan(str(path))
    assert ports == {}
    assert seen.startswith(error)


def test_commands_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_probe, "COMMAND_SECONDS", 0.1)
    assert unit_probe.run("sleep", "5") == "no answer within 0 s: sleep 5"
    assert unit_probe.run("false") == ""


class Stalling(BaseHTTPRequestHandler):
    """A member of etcd whose disk stalls for a moment: 503, then 200."""

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.server.asked += 1
        sick = self.server.asked <= self.server.sick
        body = b'{"health":"false"}' if sick else b'{"health":"true"}'
        self.send_response(503 if sick else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize(("sick", "ok"), [(0, True), (2, True), (1000, False)])
def test_only_what_stays_sick_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, sick: int, ok: bool
) -> None:
    monkeypatch.setattr(unit_probe, "PATIENCE_SECONDS", 2.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
    server.asked, server.sick = 0, sick
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    unit: dict[str, Any] = {"name": "dynamo-nats.service", "active": "active"}
    unit_probe.add_health(unit, f"http://127.0.0.1:{server.server_port}", {"health": "true"})
    server.shutdown()
    server.server_close()
    assert unit["health"]["ok"] is ok
    assert ("503" in unit["health"]["seen"]) is not ok


def test_service_probe(capsys: pytest.CaptureFixture[str]) -> None:
    server = StandIn(1)
    workers = {"gpu1": [{"unit": "w", "url": f"{server.url}/worker/0"}]}
    result = call(
        service_probe, capsys, host="control", url=server.url, model="lab", workers=workers
    )
    assert result["findings"] == []
    assert result["seen"]["served"]["workers"] == {"gpu1/w": "worker id"}
    assert result["figures"]["seconds"] > 0


@pytest.mark.parametrize("check_mode", [False, True])
def test_verify_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], check_mode: bool
) -> None:
    path = tmp_path / "new" / "report.json"
    gone = {"unreachable": True, "msg": "timed out"}
    host = {"address": "10.0.0.6", "groups": ["workers"], "first": gone, "second": {}}
    result = call(
        verify_report,
        capsys,
        hosts={"gpu1": {**host, "service": {}}},
        ports={"worker_system": 9100},
        engine="mocker",
        nats_servers=1,
        left_out=["gpu2"],
        report=str(path),
        _ansible_check_mode=check_mode,
    )
    assert (result["ok"], result["changed"]) == (False, False)
    assert "FINDING gpu1: probe" in result["summary"]
    assert path.exists() is not check_mode
    if not check_mode:
        report = json.loads(path.read_text())
        assert report["findings"] == result["findings"]
        assert report["left_out"] == ["gpu2"]


def test_the_shape_of_the_report_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """Every key that a report has is named in docs/verify.md, and no other."""
    server = StandIn(1)
    workers = {"gpu1": [{"unit": "w", "url": f"{server.url}/worker/0"}]}
    asked = call(
        service_probe, capsys, host="control", url=server.url, model="lab", workers=workers
    )
    health = {"url": "", "wanted": "", "seen": "", "ok": False}
    unit = {**observe(None, "w"), "want": "a", "have": "b", "health": health}
    look = {"units": [unit], "plan_error": "", "sockets": [{"address": "", "port": 1, "pid": 1}]}
    look["sockets"][0].update(process="", unit="")
    report = judge({"control": Seen(look, look, asked, [])}, "")

    def keys(value: Any) -> set[str]:
        if isinstance(value, list):
            return {key for item in value for key in keys(item)}
        if not isinstance(value, dict):
            return set()
        return {key for name, item in value.items() for key in {name} | keys(item)}

    document = (ROOT / "docs/verify.md").read_text().split("| key |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(?:[a-z]+\.\*\.)?([a-z_]+)(?:\[\])?`", document))
    words = {"listed", "foreign", "wrong", "verify_report"}  # values, and the option
    assert keys(report) - {"control", "gpu1/w"} == named - words
