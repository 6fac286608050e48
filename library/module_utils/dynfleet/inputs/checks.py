"""All checks, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Callable

from ansible.module_utils.dynfleet.inputs import (
    addresses,
    arguments,
    builds,
    bundles,
    environment,
    groups,
    kinds,
    listeners,
    logins,
    names,
    options,
    served,
    sizes,
    sources,
    text,
    tiers,
    uniform,
    versions,
    weights,
)
from ansible.module_utils.dynfleet.inputs.model import Fleet, Problem
from ansible.module_utils.dynfleet.inputs.report import merge

Check = Callable[[Fleet], Iterator[Problem]]
CHECKS: tuple[Check, ...] = (
    groups.check,
    names.check,
    kinds.check,
    text.check,
    addresses.check,
    logins.check,
    listeners.check,
    sizes.check,
    tiers.check,
    served.check,
    weights.check,
    arguments.check,
    environment.check,
    sources.check,
    bundles.check,
    versions.check,
    builds.check,
    uniform.check,
)
SCOPES: Mapping[str, tuple[Check, ...]] = {"all": CHECKS, "options": (options.check,)}


def run(fleet: Fleet, scope: str = "all") -> list[Problem]:
    """Every problem within a scope, hosts that share one together."""
    return merge((problem for check in SCOPES[scope] for problem in check(fleet)), fleet)
