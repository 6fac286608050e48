"""Problems as lines for people: the same one on many hosts is one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ansible.module_utils.dynfleet.inputs.model import GROUPS, WITHHELD, Fleet, Problem

LISTED = 3
# Shorter secrets are no secrets, and parts of many words.
SHORTEST = 4


def where(hosts: Sequence[str], fleet: Fleet, variable: str = "") -> str:
    """Short words for some hosts: one of our groups, the variable's own first, or their names."""
    if len(hosts) > 1 and set(hosts) == set(fleet.hosts):
        return "all hosts"
    for group in sorted(GROUPS, key=lambda name: GROUPS[name] not in variable):
        if len(hosts) > 1 and set(hosts) == set(fleet.groups.get(group, ())):
            return f"group {group}"
    if len(hosts) <= LISTED:
        return ", ".join(hosts)
    return f"{', '.join(hosts[:LISTED])} and {len(hosts) - LISTED} more"


def merge(problems: Iterable[Problem], fleet: Fleet) -> list[Problem]:
    """One problem for each that several hosts have, with all of them as its host."""
    hosts: dict[Problem, list[str]] = {}
    for problem in problems:
        hosts.setdefault(replace(problem, host=""), []).append(problem.host)
    merged = []
    for problem, names in hosts.items():
        unique = list(dict.fromkeys(name for name in names if name))
        merged.append(replace(problem, host=where(unique, fleet, problem.variable)))
    return merged


def withhold(text: str, secrets: Iterable[str]) -> str:
    """A line without these texts, wherever a message or another variable quotes them."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, WITHHELD)
    return text


def line(problem: Problem) -> str:
    """Where: variable = value: what is wrong; what to do (set in FILE:LINE, or by -e)."""
    place = problem.host or (f"group {problem.group}" if problem.group else "fleet")
    value = f" = {problem.value}" if problem.value else ""
    subject = f"{place}: {problem.variable}{value}" if problem.variable else place
    by = "by" if problem.origin.startswith("-") else "in"
    origin = f" (set {by} {problem.origin})" if problem.origin else ""
    return " ".join(f"{subject}: {problem.message}; {problem.mend}{origin}".split())
