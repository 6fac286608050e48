"""Kinds and ranges: a number where text is, a negative size, a word that is no choice."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ansible.module_utils.dynfleet.inputs import shares
from ansible.module_utils.dynfleet.inputs.catalogue import ENVIRONMENT
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

# Services have no right to the lower ones; from 32768 on the kernel gives ports to anyone.
FIRST_PORT, LAST_PORT = 1024, 32767
WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "number": "a number",
    "text": "text",
    "list": "a list",
    "mapping": "a dictionary",
    "share": "a number or a percentage",
    "batches": "a list of numbers and percentages",
}


@dataclass(frozen=True)
class Rule:
    """What a value has to be. hint: why, or in what unit.

    kind: one of WORDS. A share is a whole number from 1 on, or text such as ``25%``; batches are
    a list of these that is not empty. zero: 0 is good too, whatever the least is.
    """

    kind: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    hint: str = ""
    zero: bool = False


PORT = Rule("int", FIRST_PORT, LAST_PORT, hint="services bind unprivileged ports below 32768")
SIZE = Rule("int", 0, hint="GiB; 0 is none")
AT_LEAST_1 = Rule("int", 1)
SECONDS = Rule("int", 1, hint="seconds")
LEASE = Rule("int", 3, 3600, hint="seconds; a shorter lease ends processes at every hiccup of etcd")
NAMESPACE = Rule("text", pattern=r"[A-Za-z0-9_-]+", hint="letters, digits, - and _")
ENGINE = Rule("text", choices=("vllm", "mocker"))
SOURCE = Rule("text", choices=("package", "archive"))
BUILD_SOURCE = Rule("text", choices=("git", "wheels"))
GDS_ROUTE = Rule("text", choices=("nvidia-fs", "p2pdma"))
GROUP_SIZE = Rule("int", 1, 16, hint="GPUs of one worker")
MIGRATIONS = Rule("int", 0, 100)

# How a value looks that only JSON can give by -e.
LIKE = {"list": "[...]", "mapping": "{...}", "batches": '[1, "25%"]'}

# Ends of names whose values are nobody's business.
SECRET = ("_token", *ENVIRONMENT)

# Text that is a number or a truth value without its quotes.
_LITERAL = re.compile(r"-?\d+(\.\d+)?|true|false", re.IGNORECASE)

# Where the default does not say it all. Others take their kind from the role's default.
RULES: Mapping[str, Rule] = {
    "dynamo_engine": ENGINE,
    "worker_engine": ENGINE,
    "dynamo_model_path": Rule("text"),
    "dynamo_model_name": Rule("text"),
    "dynamo_namespace": NAMESPACE,
    "frontend_namespace": NAMESPACE,
    "worker_namespace": NAMESPACE,
    "dynamo_group_size": GROUP_SIZE,
    "placement_group_size": GROUP_SIZE,
    "dynamo_lease_ttl": LEASE,
    "frontend_lease_ttl": LEASE,
    "worker_lease_ttl": LEASE,
    "dynamo_migration_limit": MIGRATIONS,
    "frontend_migration_limit": MIGRATIONS,
    "dynamo_release_set": Rule("text"),
    "dynamo_release_sets": Rule("mapping"),
    "dynamo_ports": Rule("mapping"),
    "bundle": Rule("text"),
    "dynamo_foreign_variables": Rule("list"),
    "dynamo_run_variables": Rule("list"),
    "host_address": Rule("text"),
    "etcd_source": SOURCE,
    "nats_source": SOURCE,
    "dynamo_source": BUILD_SOURCE,
    "dynamo_rust_source": SOURCE,
    "dynamo_tag": Rule("text"),
    "dynamo_version": Rule("text"),
    "flexkv_pythons": Rule("list"),
    "gds_route": GDS_ROUTE,
    "etcd_quota_mib": AT_LEAST_1,
    "nats_memory_store_mib": AT_LEAST_1,
    "nats_file_store_mib": AT_LEAST_1,
    "worker_cpu_cache_gib": SIZE,
    "worker_ssd_cache_gib": SIZE,
    "worker_memory_gib": SIZE,
    "placement_cpu_cache_gib": SIZE,
    "placement_ssd_cache_gib": SIZE,
    "placement_memory_gib": SIZE,
    "worker_block_size": AT_LEAST_1,
    "worker_gpu_memory_utilization": Rule(
        "number", 0.05, 0.99, hint="a share of the GPU's memory, below 1"
    ),
    "roll_batch": Rule("batches", hint='hosts at a time: [1, "25%"]'),
    "roll_pause": Rule("int", 0, hint="seconds"),
    "roll_max_out": Rule("share", hint='a number of workers, or a percentage such as "25%"'),
    "roll_max_failed_percent": Rule("number", 0, 100, hint="percent, without the sign"),
    "roll_max_ttft_factor": Rule("number", 1, hint="0 is: not watched", zero=True),
    "roll_min_hit_rate_share": Rule("number", 0, 1, hint="a share; 0 is: not watched"),
    "roll_refill_seconds": Rule("int", 0, hint="seconds"),
    "roll_etcd": Rule("list"),
    "roll_frontends": Rule("list"),
    "roll_status_report": Rule("text"),
    "roll_who": Rule("text"),
    "verify_report": Rule("text"),
    "verify_timeout": SECONDS,
    "target": Rule("text"),
    "topology_file": Rule("text"),
    "snapshot": Rule("text"),
    "reports_dir": Rule("text"),
    "etcd_restore_healthy": Rule("bool"),
    "worker_start_timeout": SECONDS,
    "worker_stop_timeout": SECONDS,
    "worker_grace_seconds": SECONDS,
    "model_timeout": SECONDS,
    "dynamo_apt_lock_seconds": SECONDS,
    "model_jobs": Rule("int", 1, 64, hint="connections of one host"),
    "frontend_start_timeout": SECONDS,
    "frontend_drain_seconds": SECONDS,
    "frontend_memory_max": Rule(
        "text",
        pattern=r"infinity|[1-9]\d*(\.\d+)?[KMGT]|[1-9]\d?%",
        hint="as systemd's MemoryMax=: 16G, 50% or infinity",
    ),
    "placement_min_link": Rule(
        "text",
        pattern=r"|SYS|NODE|PHB|PXB|PIX|NV[1-9]\d*",
        hint="SYS, NODE, PHB, PXB, PIX, NV1, NV2 and so on",
    ),
}


def derived(default: Any) -> Rule | None:
    """The rule that a literal default implies."""
    if isinstance(default, bool):
        return Rule("bool")
    if isinstance(default, int):
        return Rule("int", 0)
    if isinstance(default, float):
        return Rule("number", 0)
    for kind, types in (("text", str), ("list", list), ("mapping", dict)):
        if isinstance(default, types):
            return Rule(kind)
    return None


def rule_of(name: str, defaults: Mapping[str, Any]) -> Rule | None:
    """The rule of a variable, None where nothing is known."""
    if name in RULES:
        return RULES[name]
    return PORT if name.endswith("_port") else derived(defaults.get(name))


def kind_of(value: Any) -> str:
    """The kind of a value; empty for what YAML has and we do not take (null, a date, NaN)."""
    found = None if isinstance(value, float) and math.isnan(value) else derived(value)
    return found.kind if found else ""


def word(value: Any) -> str:
    """What a value is, for people."""
    if value is None:
        return "empty"
    return "a date" if isinstance(value, date) else WORDS.get(kind_of(value), "no number")


def judge(value: Any, rule: Rule) -> str:
    """What is wrong with a value, or nothing."""
    if rule.kind in shares.JUDGES:
        return shares.JUDGES[rule.kind](value)
    kind = kind_of(value)
    if kind != rule.kind and (kind, rule.kind) != ("int", "number"):
        return f"is {word(value)}, wanted is {WORDS[rule.kind]}"
    if rule.choices and value not in rule.choices:
        return f"is none of {', '.join(rule.choices)}"
    if rule.pattern and not re.fullmatch(rule.pattern, value):
        return "does not have the right form"
    return _out_of_range(value, rule)


def _out_of_range(value: Any, rule: Rule) -> str:
    if rule.zero and value == 0:
        return ""
    if rule.least is not None and value < rule.least:
        return f"is less than {rule.least:g}"
    if rule.most is not None and value > rule.most:
        return f"is more than {rule.most:g}"
    return ""


def mend(name: str, value: Any, rule: Rule, origin: str) -> str:
    """What to write instead."""
    if rule.choices:
        return f"choose {' or '.join(rule.choices)}"
    if origin == "-e" and rule.kind in LIKE:
        return f"give JSON: -e '{{\"{name}\": {LIKE[rule.kind]}}}'"
    if rule.kind in shares.JUDGES:
        return f"give {rule.hint}"
    if isinstance(value, str) and rule.kind == "list":
        return "write a YAML list"
    if quotes := _quotes(value, rule, origin):
        return quotes
    limits = [f"at least {rule.least:g}"] if rule.least is not None else []
    limits += [f"at most {rule.most:g}"] if rule.most is not None else []
    wanted = ("0 or " if rule.zero else "") + (" and ".join(limits) or WORDS[rule.kind])
    return f"give {rule.hint if rule.pattern else wanted}" + (
        f" ({rule.hint})" if rule.hint and not rule.pattern else ""
    )


def _quotes(value: Any, rule: Rule, origin: str) -> str:
    """What to do about quotes, where that is all."""
    if isinstance(value, str) and rule.kind != "text" and origin != "-e":
        return "write it without quotes" if _LITERAL.fullmatch(value) else ""
    plain = rule.kind == "text" and isinstance(value, (int, float, date))
    return "put it into quotes" if plain and re.fullmatch(rule.pattern or ".*", str(value)) else ""


def values(host: Host, names: Collection[str], defaults: Mapping[str, Any]) -> Iterator[Problem]:
    """Some variables of a host, by their rules."""
    for name in sorted(names):
        rule = rule_of(name, defaults)
        if rule and name in host.variables:
            value = host.variables[name]
            if wrong := judge(value, rule):
                if name in host.secret and kind_of(value) != rule.kind:
                    told = "a vaulted value is always text: write this one in the open"
                else:
                    told = mend(name, value, rule, host.origin(name))
                problem = host.problem(name, wrong, told, value=value)
                yield replace(problem, value="") if name.endswith(SECRET) else problem


def check(fleet: Fleet) -> Iterator[Problem]:
    """Every value that the site chose, by its rule."""
    for host in fleet.hosts.values():
        yield from values(host, host.given & fleet.catalogue.names, fleet.catalogue.defaults)
        yield from _ports(host)
        yield from _relations(host)


def _ports(host: Host) -> Iterator[Problem]:
    for key, value in host.mapping("dynamo_ports").items():
        if wrong := judge(value, PORT):
            variable = f"dynamo_ports.{key}"
            help_text = mend(variable, value, PORT, host.origin("dynamo_ports"))
            yield host.problem(variable, wrong, help_text, value=value)


def _relations(host: Host) -> Iterator[Problem]:
    """Ranges that depend on another value."""
    if "workers" not in host.groups:
        return
    block = host.integer("worker_block_size")
    if block and block > 0 and block & (block - 1):
        yield host.problem(
            "worker_block_size", "is no power of two", "give 16, 32, 64 or 128 tokens"
        )
    stop, grace = host.integer("worker_stop_timeout"), host.integer("worker_grace_seconds")
    if stop is not None and grace is not None and 0 < stop < grace + 90:
        yield host.problem(
            "worker_stop_timeout",
            f"leaves less than 90 s after worker_grace_seconds ({grace}) to end and to free memory",
            f"give at least {grace + 90}",
        )
