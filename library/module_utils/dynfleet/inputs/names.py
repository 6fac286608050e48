"""Variables that nothing reads: misspelt, or keys that a dictionary of ours does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from difflib import get_close_matches

from ansible.module_utils.dynfleet.inputs.catalogue import Catalogue
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

# How alike two names are, 0 to 1: to suggest one, and to suspect a stranger of being ours.
ALIKE, SURELY_MEANT = 0.7, 0.88
# What is typed at a prompt is meant for the playbook that is run.
MEANT_BY_OPTION = 0.8
# What a release set has to say; `vllm` sets more than others.
SET_KEYS = frozenset(("engine", "dynamo", "frontend", "pythons", "glibc", "imports"))
VLLM_SET_KEYS = SET_KEYS | {"vllm", "torch", "nixl", "flexkv", "cuda", "driver_min"}


def did_you_mean(name: str, known: Collection[str]) -> str:
    """``did you mean X?`` for the nearest name, or nothing."""
    near = get_close_matches(name.lower(), sorted(known), n=1, cutoff=ALIKE)
    return f"did you mean {near[0]}?" if near else ""


def unknown(name: str, catalogue: Catalogue, alike: float = SURELY_MEANT) -> str | None:
    """What to do about a variable that is not ours but looks so; None for a stranger."""
    if name.startswith(("ansible_", "__")):
        return None
    ours = name.lower().startswith(catalogue.prefixes)
    if not ours and not get_close_matches(name.lower(), catalogue.names, 1, alike):
        return None
    return did_you_mean(name, catalogue.names) or "remove it"


def without_defaults(host: Host, fleet: Fleet) -> Iterator[Problem]:
    """An inventory without the project's group_vars."""
    if missing := sorted(fleet.catalogue.shared - host.names):
        shown = ", ".join(missing[:2]) + (", ..." if len(missing) > 2 else "")
        yield Problem(
            message=f"{len(missing)} of the project's defaults are not in the inventory ({shown})",
            mend=f"ln -s {fleet.root}/group_vars beside the inventory file; what is the site's "
            "own stands in that file or in host_vars",
            host=host.name,
        )


def strangers(
    host: Host,
    names: Collection[str],
    catalogue: Catalogue,
    judged: dict[str, str | None],
) -> Iterator[Problem]:
    """Those names that look like ours and are not. judged: what was found out on other hosts."""
    foreign = tuple(item for item in host.sequence("dynamo_foreign_variables"))
    for name in sorted(names):
        if name not in judged:
            alike = MEANT_BY_OPTION if name in host.by_option else SURELY_MEANT
            judged[name] = unknown(name, catalogue, alike)
        mend = judged[name]
        if mend and name not in foreign:
            problem = host.problem(
                name,
                "no variable of this project",
                f"{mend} (another tool's variable: name it in dynamo_foreign_variables)",
            )
            yield replace(problem, value="")  # it may be anything, a password too


def check(fleet: Fleet) -> Iterator[Problem]:
    """Unknown variables and unknown keys."""
    judged: dict[str, str | None] = {}
    for host in fleet.hosts.values():
        yield from without_defaults(host, fleet)
        unread = host.names - fleet.catalogue.names
        yield from strangers(host, unread, fleet.catalogue, judged)
        yield from _ports(host, fleet.catalogue)
        yield from _release_sets(host, fleet.catalogue)


def _ports(host: Host, catalogue: Catalogue) -> Iterator[Problem]:
    ports = host.mapping("dynamo_ports")
    for key in sorted(set(ports) - catalogue.port_names, key=str):
        yield host.problem(
            f"dynamo_ports.{key}",
            "no entry of the port table",
            did_you_mean(str(key), catalogue.port_names) or "remove it",
            value=ports[key],
        )
    missing = sorted(catalogue.port_names - set(ports))
    if ports and missing:
        yield host.problem(
            "dynamo_ports",
            f"lacks {', '.join(missing)}",
            "a dictionary is replaced as a whole: copy all of group_vars/all/ports.yml",
        )


def _release_sets(host: Host, catalogue: Catalogue) -> Iterator[Problem]:
    for name, content in host.mapping("dynamo_release_sets").items():
        variable = f"dynamo_release_sets.{name}"
        if not isinstance(content, dict):
            yield host.problem(variable, "is no dictionary", "see group_vars/all/release.yml")
            continue
        for key in sorted(set(content) - catalogue.set_keys, key=str):
            yield host.problem(
                f"{variable}.{key}",
                "no key of a release set",
                did_you_mean(str(key), catalogue.set_keys) or "remove it",
                value=content[key],
            )
        wanted = VLLM_SET_KEYS if content.get("engine") == "vllm" else SET_KEYS
        if missing := sorted(wanted - set(content)):
            yield host.problem(
                variable, f"lacks {', '.join(missing)}", "see group_vars/all/release.yml"
            )
