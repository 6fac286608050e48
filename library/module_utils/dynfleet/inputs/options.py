"""What a run is told by ``-e``: its types, and the check that every verb begins with.

``-e name=value`` is always text to Ansible, and nothing overrides an extra variable later on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.dynfleet.inputs import kinds, names
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


def typed(value: Any, rule: kinds.Rule) -> Any:
    """Text that can only be one value of the rule's kind as that value; all else as it is."""
    if not isinstance(value, str):
        return value
    if rule.kind == "bool":
        return TRUTH.get(value.lower(), value)
    if rule.kind in ("int", "number", "share") and _INTEGER.fullmatch(value):
        return int(value)
    if rule.kind == "number" and _DECIMAL.fullmatch(value):
        return float(value)
    if rule.kind == "batches" and not kinds.share(value):
        return [typed(value, kinds.Rule("share"))]
    if rule.kind in ("list", "batches", "mapping"):
        try:
            content = json.loads(value)
        except ValueError:
            return value
        return content if isinstance(content, dict if rule.kind == "mapping" else list) else value
    return value


def check(fleet: Fleet) -> Iterator[Problem]:
    """What is given by ``-e``, and the settings of rolls: names that nothing reads, wrong values.

    The part of the whole check that costs next to nothing on a large fleet.
    """
    known = fleet.catalogue
    judged: dict[str, str | None] = {}
    for host in fleet.hosts.values():
        if host.groups:
            yield from names.without_defaults(host, fleet)
        yield from names.strangers(host, host.by_option - known.names, known, judged)
        told = {n for n in host.given if n in host.by_option or n.startswith(ROLL)}
        yield from kinds.values(host, told & known.names, known.defaults)
