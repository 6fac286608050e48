"""Text that breaks out of the file it is rendered into, and paths that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.dynfleet.inputs import sandbox
from ansible.module_utils.dynfleet.inputs.catalogue import ENGINE_TEXTS
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem
from ansible.module_utils.dynfleet.inputs.sandbox import plain

# Meant to have many lines, or looked at by a check of their own.
BLOCKS = frozenset(
    (
        *ENGINE_TEXTS,
        "dynamo_sandbox",
        "dynamo_worker_sandbox",
        "dynamo_worker_devices",
        "liburing_sandbox",
        "nixl_sandbox",
        "vllm_sandbox",
    )
)
# Rendered without quotes, several in a line, into units and the web server.
PLAIN_PATHS = ("wheelhouse_dir", "placement_ssd_roots", "placement_topology_recorded")
# By processes of units, in their sandbox: the worker, its guard, the wheelhouse.
SEEN_BY_UNITS = (
    "dynamo_model_path",
    "worker_model_path",
    "placement_ssd_roots",
    "placement_topology_recorded",
    "wheelhouse_dir",
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"/[A-Za-z0-9._@+/-]*")


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def check(fleet: Fleet) -> Iterator[Problem]:
    """Control characters in any text of ours, and paths."""
    for host in fleet.hosts.values():
        for name in sorted((host.given & fleet.catalogue.names) - BLOCKS):
            if name in host.variables and any(map(_CONTROL.search, texts(host.variables[name]))):
                yield host.problem(
                    name,
                    "has a line break or another control character, which ends the line that it "
                    "is rendered into",
                    "take it out (in YAML, | and > keep the last line break: use |- or >-)",
                )
        yield from _paths(host)
        yield from _hidden(host)


def _paths(host: Host) -> Iterator[Problem]:
    for name in PLAIN_PATHS:
        value = host.value(name)
        for path in (value,) if isinstance(value, str) else host.sequence(name):
            if path == host.defaults.get(name) == "":
                continue
            if not isinstance(path, str):
                yield host.problem(name, "holds something that is no path", "give text")
            elif not path.startswith("/"):
                yield host.problem(name, f"'{path}' is not absolute", "begin it with /")
            elif plain(path) == "/" or ".." in path.split("/"):
                yield host.problem(
                    name, f"'{path}' is no directory of its own", "name one, without '..'"
                )
            elif not _PLAIN.fullmatch(path) and not _CONTROL.search(path):
                yield host.problem(
                    name,
                    f"'{path}' has a character that unit files take apart",
                    "use letters, digits and . _ @ + - only",
                )
    roots = [plain(str(path)) for path in host.sequence("placement_ssd_roots")]
    twice = sorted({path for path in roots if roots.count(path) > 1})
    if twice:
        yield host.problem(
            "placement_ssd_roots", f"names {', '.join(twice)} twice", "name each directory once"
        )


def _hidden(host: Host) -> Iterator[Problem]:
    hidden = sandbox.of(host, "dynamo_worker_sandbox")
    for name in SEEN_BY_UNITS:
        if name not in host.given:
            continue
        for path in texts(host.value(name)):
            if path and sandbox.within(path, hidden):
                yield host.problem(name, f"'{path}' {sandbox.out_of_sight(hidden)}", sandbox.MOVE)
