"""Numbers of things or percentages of them, and lists of these: sizes of batches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable

from ansible.module_utils.dynfleet.inputs.model import show

_SHARE = re.compile(r"\d+(\.\d+)?%|[1-9]\d*|0")


def share(value: Any) -> str:
    """What is wrong with a number of things or a percentage of them, or nothing."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if number is None and not (isinstance(value, str) and _SHARE.fullmatch(value)):
        return "is neither a whole number nor a percentage"
    if isinstance(value, str) and value.endswith("%"):
        return "" if 0 < float(value[:-1]) <= 100 else "is not above 0% and up to 100%"
    return "is less than 1" if int(value) < 1 else ""


def batches(value: Any) -> str:
    """What is wrong with sizes of batches, or nothing."""
    if not isinstance(value, (list, tuple)):
        return "must be a list"
    if not value:
        return "is empty, and no host would ever have its turn"
    wrong = [f"{show(item)} {why}" for item in value if (why := share(item))]
    return ", ".join(wrong)


# By the kind of a rule.
JUDGES: Mapping[str, Callable[[Any], str]] = {"share": share, "batches": batches}
