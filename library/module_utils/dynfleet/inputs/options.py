"""What a run is told by ``-e``: its types, and the check that every verb begins with.

``-e name=value`` is always text to Ansible, and nothing overrides an extra variable later on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Callable

from ansible.module_utils.dynfleet.inputs import kinds, names, shares
from ansible.module_utils.dynfleet.inputs.model import Fleet, Problem

# The words of YAML 1.1 and of Ansible's own options.
TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
# A leading zero is octal to some, a bare exponent text to others: neither is taken for a number.
_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+")
# What rolls go by, wherever it is set: a wrong value shows only after the first restarts.
ROLL = "roll_"


def _truth(text: str) -> Any:
    return TRUTH.get(text.lower(), text)


def _integer(text: str) -> Any:
    return int(text) if _INTEGER.fullmatch(text) else text


def _number(text: str) -> Any:
    return float(text) if _DECIMAL.fullmatch(text) else _integer(text)


def _json(text: str) -> Any:
    try:
        content = json.loads(text)
    except ValueError:
        return text
    return content if isinstance(content, (list, dict)) else text


def _batches(text: str) -> Any:
    return _json(text) if shares.share(text) else [_integer(text)]


# By the kind of a rule; other kinds are text.
TYPES: Mapping[str, Callable[[str], Any]] = {
    "bool": _truth,
    "int": _integer,
    "number": _number,
    "share": _integer,
    "batches": _batches,
    "list": _json,
    "mapping": _json,
}


def typed(value: Any, rule: kinds.Rule) -> Any:
    """Text that can only be one value of the rule's kind as that value; all else as it is."""
    if not isinstance(value, str) or rule.kind not in TYPES:
        return value
    return TYPES[rule.kind](value)


def check(fleet: Fleet) -> Iterator[Problem]:
    """What is given by ``-e``, and the settings of rolls: names that nothing reads, wrong values.

    The part of the whole check that costs next to nothing on a large fleet.
    """
    known = fleet.catalogue
    judged: dict[str, str | None] = {}
    for host in fleet.hosts.values():
        yield from names.strangers(host, host.by_option - known.names, known, judged)
        told = {n for n in host.given if n in host.by_option or n.startswith(ROLL)}
        yield from kinds.values(host, told & known.names, known.defaults)
