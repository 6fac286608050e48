"""One report of all that verify saw, with every fault named: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible.module_utils.dynfleet.ports import Listener
from ansible.module_utils.dynfleet.verify import listeners, units

Look = Mapping[str, Any]
Finding = dict[str, Any]  # host, unit, check, expected, seen, log


class Seen(NamedTuple):
    """What was seen of one host."""

    first: Look  # result of unit_probe before the requests
    second: Look  # and after them
    service: Look  # result of service_probe; empty on a host without a frontend
    table: Sequence[Listener]  # its part of the port table


def judge(
    hosts: Mapping[str, Seen], checked_at: str, left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """The report; its shape is in docs/verify.md. It is ok only if something was looked at and
    nothing was found.

    checked_at, left_out: the time, and hosts that nobody looked at, to put into the report.
    """
    report: dict[str, Any] = {
        "ok": False,
        "checked_at": checked_at,
        "left_out": list(left_out),
        "hosts": {},
        "units": [],
        "frontends": {},
        "findings": [],
        "figures": {},
    }
    for name, seen in hosts.items():
        trouble = _trouble(seen.first)
        report["hosts"][name] = {"reached": not trouble, "sockets": []}
        if trouble:
            report["findings"].append(_finding(name, "", "probe", "an answer", trouble))
            continue
        _judge_units(report, name, seen)
        _judge_sockets(report, name, seen)
        _judge_service(report, name, seen)
    report["findings"] += _judge_releases(hosts)
    if not hosts:
        report["findings"].append(_finding("", "", "inventory", "hosts to look at", "none"))
    report["findings"].sort(key=lambda finding: (finding["host"], finding["unit"]))
    _add_logs(report["findings"], hosts)
    report["ok"] = not report["findings"]
    return report


def _finding(host: str, unit: str, check: str, expected: str, seen: str) -> Finding:
    return {"host": host, "unit": unit, "check": check, "expected": expected, "seen": seen}


def _trouble(look: Look) -> str:
    """Why a probe gave no result; empty where it gave one."""
    if look.get("unreachable"):
        return f"host unreachable: {_line(look.get('msg'))}"
    if "sockets" not in look and "figures" not in look:
        said = look.get("msg") or look.get("module_stderr") or "no result"
        return f"the probe ended without a result: {_line(said)}"
    return ""


def _line(text: Any) -> str:
    return " ".join(str(text).split())[:500]


def _judge_units(report: dict[str, Any], host: str, seen: Seen) -> None:
    if seen.first["plan_error"]:
        report["findings"].append(
            _finding(host, "", "plan", "the plan of this host's workers", seen.first["plan_error"])
        )
    lost = _trouble(seen.second)
    if lost:
        report["findings"].append(_finding(host, "", "second probe", "an answer", lost))
    after = {unit["name"]: unit for unit in seen.second.get("units", [])}
    for unit in seen.first["units"]:
        wrong = units.problems(unit)
        if unit["name"] in after:
            known = {problem["check"] for problem in wrong}
            later = units.problems(after[unit["name"]])
            wrong += [problem for problem in later if problem["check"] not in known]
            wrong += units.during_run(unit, after[unit["name"]])
        report["findings"] += [_finding(host, unit["name"], **problem) for problem in wrong]
        kept = {key: value for key, value in unit.items() if key != "log"}
        report["units"].append({"host": host, **kept, "ok": not wrong})


def _judge_releases(hosts: Mapping[str, Seen]) -> Iterator[Finding]:
    """A release that was switched to, and that no roll has closed on."""
    open_ones: dict[tuple[str, str], list[str]] = {}
    for name, seen in hosts.items():
        links = seen.first.get("releases") or {}
        if links.get("good") and links["current"] != links["good"] and _serves(seen.first):
            open_ones.setdefault((links["current"], links["good"]), []).append(name)
    for (current, good), names in open_ones.items():
        yield _finding(
            names[0],
            "",
            "release",
            f"a roll to {current} has closed",
            f"none has on {', '.join(names)}; the last good release is {good}. Go on with "
            "site.yml, or back with playbooks/rollback.yml",
        )


def _serves(look: Look) -> bool:
    """Whether a host has a unit of a release in service; what is drained waits for a later roll."""
    return any(
        unit["name"].startswith(("dynamo-frontend", "dynamo-worker"))
        and unit["active"] == "active"
        and not unit.get("drained")
        for unit in look["units"]
    )


def _judge_sockets(report: dict[str, Any], host: str, seen: Seen) -> None:
    """Sockets are those after the requests: a listener may open with the first of them."""
    look = seen.first if _trouble(seen.second) else seen.second
    active = {unit["name"] for unit in look["units"] if unit["active"] == "active"}
    judged, wrong = listeners.compare(look["sockets"], seen.table, active)
    report["hosts"][host]["sockets"] = judged
    report["findings"] += [_finding(host, **problem) for problem in wrong]


def _judge_service(report: dict[str, Any], host: str, seen: Seen) -> None:
    if not seen.service:
        return
    trouble = _trouble(seen.service)
    if trouble:
        report["findings"].append(_finding(host, "", "service probe", "an answer", trouble))
        return
    report["frontends"][host] = seen.service["seen"]
    report["figures"][host] = seen.service["figures"]
    report["findings"] += [dict(finding) for finding in seen.service["findings"]]


def _add_logs(findings: list[Finding], hosts: Mapping[str, Seen]) -> None:
    """Give each finding about a unit the log lines that were fetched for it."""
    logs: dict[tuple[str, str], list[str]] = {}
    for name, seen in hosts.items():
        for look in (seen.first, seen.second):
            for unit in look.get("units", []):
                if unit.get("log"):
                    logs[name, unit["name"]] = unit["log"]
    for finding in findings:
        finding["log"] = logs.get((finding["host"], finding["unit"]), [])


def summary(report: Mapping[str, Any]) -> str:
    """The report for people: a line a host, a line a frontend, then every finding."""
    width = max([len(name) for name in report["hosts"]] + [4])
    lines = [f"{'host':<{width}}  units ok  sockets  findings"]
    for name, host in report["hosts"].items():
        of_host = [unit for unit in report["units"] if unit["host"] == name and unit["expected"]]
        good = sum(unit["ok"] for unit in of_host)
        listed = sum(socket["verdict"] == "listed" for socket in host["sockets"])
        found = sum(finding["host"] == name for finding in report["findings"])
        lines.append(f"{name:<{width}}  {f'{good}/{len(of_host)}':>8}  {listed:>7}  {found:>8}")
    lines += [_frontend_line(name, report) for name in report["frontends"]]
    lines += [
        f"drained {unit['host']} {unit['name']} {unit['drained']}"
        for unit in report["units"]
        if unit.get("drained")
    ]
    told: set[tuple[str, str]] = set()  # units whose log was shown
    for finding in report["findings"]:
        place = (finding["host"], finding["unit"])
        lines += _finding_lines(finding, place not in told)
        told.add(place)
    return "\n".join(lines)


def _frontend_line(name: str, report: Mapping[str, Any]) -> str:
    seen, figures = report["frontends"][name], report["figures"][name]
    said = [f"models {', '.join(seen.get('models', [])) or 'none'}"]
    if "ttft_ms" in figures:
        said.append(f"first token {figures['ttft_ms']} ms")
    if "cached" in seen:
        cached = seen["cached"]
        said.append(f"{cached['tokens']} of {cached['of']} tokens cached on the second ask")
        if cached["source"]:
            said[-1] += f" ({cached['source']})"
    if "served" in seen:
        said.append(f"{len(seen['served']['workers'])} workers served")
    return f"frontend {name}: {'; '.join(said)}"


def _finding_lines(finding: Mapping[str, Any], with_log: bool) -> Iterator[str]:
    place = " ".join(part for part in (finding["host"], finding["unit"]) if part)
    yield ""
    yield f"FINDING {place}: {finding['check']}"
    yield f"  expected: {finding['expected']}"
    yield f"  seen:     {finding['seen']}"
    for line in finding["log"] if with_log else []:
        yield f"  | {line.rstrip()}"
