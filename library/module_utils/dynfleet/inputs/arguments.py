"""Extra arguments of the engine and the frontend: their form, those of ours, paths in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ansible.module_utils.dynfleet.inputs import sandbox
from ansible.module_utils.dynfleet.inputs.catalogue import ENGINE_TEXTS
from ansible.module_utils.dynfleet.inputs.engine_options import FRONTEND, WORKER, meant
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem

# Group, variable, options of ours, the sandbox of the unit.
PLACES = (
    ("workers", "worker_extra_args", WORKER, "dynamo_worker_sandbox"),
    ("frontends", "frontend_extra_args", FRONTEND, "dynamo_sandbox"),
)
# What to do about Jinja that was meant for the engine.
UNSAFE = "if it is text for the engine, tell Ansible to leave it as it is: !unsafe '...' in YAML"
_FLAG_AND_VALUE = re.compile(r"--?[A-Za-z][\w.+-]*\s")
# systemd takes the rest from a quoted argument as JSON escapes it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_STATEMENT = re.compile(r"\{[%#]")
# Of one argument, in bytes (MAX_ARG_STRLEN of Linux, with the zero at its end).
LONGEST = 128 * 1024 - 1


def carried_out(written: object, value: object) -> bool:
    """Whether a text holds Jinja's statements or comments, and Ansible took them for its own."""
    return isinstance(written, str) and bool(_STATEMENT.search(written)) and written != value


def mend(name: str) -> str:
    """What to do about a variable that Ansible cannot render."""
    told = "correct the expression, or a variable that it names"
    return f"{UNSAFE}; else {told}" if name in ENGINE_TEXTS else told


def check(fleet: Fleet) -> Iterator[Problem]:
    """Each list on the hosts that use it."""
    for group, name, refused, directives in PLACES:
        for host in fleet.members(group):
            hidden = sandbox.of(host, directives)
            values, written = host.sequence(name), host.written.get(name)
            for number, argument in enumerate(values):
                if isinstance(written, list) and carried_out(written[number], argument):
                    yield host.problem(
                        name,
                        "Ansible carries out the {% or {# in it, and the engine never sees it",
                        f"{UNSAFE}; an expression of yours is written in {{{{ }}}} only",
                        written[number],
                    )
                else:
                    yield from _argument(host, name, argument, refused)
                    if isinstance(argument, str):
                        for path, why in sandbox.unseen(argument, hidden):
                            yield host.problem(name, f"'{path}' {why}", sandbox.MOVE, argument)


def _argument(
    host: Host, name: str, argument: object, refused: Mapping[str, str]
) -> Iterator[Problem]:
    if not isinstance(argument, str):
        yield host.problem(name, "holds something that is not text", "put it into quotes", argument)
        return
    own, way = meant(argument, refused)
    if not argument.strip():
        yield host.problem(name, "holds an empty argument", "take it out", argument)
    elif argument != argument.lstrip():
        yield host.problem(
            name,
            "begins with a blank, and is no option to the program",
            "take the blank out",
            argument,
        )
    elif own:
        how = f"{way} {own}: " if way else ""
        yield host.problem(name, f"{how}this argument is the project's own", refused[own], argument)
    elif _FLAG_AND_VALUE.match(argument):
        yield host.problem(
            name,
            "one list item is one argument, this is two",
            "write two items, or --name=value",
            argument,
        )
    elif _CONTROL.search(argument):
        yield host.problem(
            name,
            "has a control character other than a tab or a line break",
            "take it out",
            argument,
        )
    elif len(argument.encode("utf-8", "replace")) > LONGEST:
        yield host.problem(
            name,
            f"is longer than {LONGEST} bytes, the most that Linux takes for one argument",
            "put it into a file on the hosts, and name that",
            argument,
        )
