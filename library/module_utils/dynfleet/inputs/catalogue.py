"""Which variables there are, read off the project's own files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# First words that other people's variables have too: there only a near miss is refused.
COMMON_WORDS = frozenset(("host", "model", "release"))
# Families of which no variable has a default.
MORE_PREFIXES = ("gpu_topology_",)
# Text that goes to the engine as it is written: Jinja in it may be the engine's own.
ENVIRONMENT = ("worker_environment", "worker_environment_on_host", "worker_environment_by_index")
ENGINE_TEXTS = ("worker_extra_args", "frontend_extra_args", *ENVIRONMENT)
# Where variables without a default are listed.
WITHOUT_DEFAULTS = ("dynamo_host_variables", "dynamo_run_variables")
_ALIAS = re.compile(r"\{\{ (\w+(?:\.\w+)?) \}\}")


def is_template(value: Any) -> bool:
    """Whether a value, or anything in it, has to be rendered."""
    if isinstance(value, str):
        return any(mark in value for mark in ("{{", "{%", "{#"))
    if isinstance(value, Mapping):
        return any(is_template(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(is_template(item) for item in value)


@dataclass(frozen=True)
class Catalogue:
    """The public variables.

    names: all of them. shared: those of group_vars. defaults: the literal ones of both; they also
    say a variable's kind. derived: group_vars that follow from others, as templates. prefixes:
    what the names of our variables begin with. port_names, set_keys: keys of dynamo_ports and of
    a release set.
    """

    names: frozenset[str]
    shared: frozenset[str]
    defaults: Mapping[str, Any]
    derived: Mapping[str, Any]
    prefixes: tuple[str, ...]
    port_names: frozenset[str]
    set_keys: frozenset[str]

    def aliases(self, of: str) -> dict[str, str]:
        """Variables that are told another one as it is: ``{{ of }}`` or ``{{ of.key }}``."""
        found = {}
        for name, template in self.derived.items():
            match = _ALIAS.fullmatch(template.strip()) if isinstance(template, str) else None
            if match and match.group(1).split(".")[0] == of:
                found[name] = match.group(1)
        return found


def read(root: Path) -> Catalogue:
    """The catalogue of the project in this directory, on the controller."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def content(paths: Iterator[Path]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in sorted(paths):
            found.update(yaml.load(path.read_bytes(), loader))  # noqa: S506 - a safe one
        return found

    return build(
        content((root / "group_vars/all").glob("*.yml")),
        content((root / "roles").glob("*/defaults/main.yml")),
    )


def build(group_vars: Mapping[str, Any], role_defaults: Mapping[str, Any]) -> Catalogue:
    """The catalogue of group_vars/all and the roles' defaults, both as read, not rendered."""
    ports = group_vars.get("dynamo_ports", {})
    sets = group_vars.get("dynamo_release_sets", {})
    names = {*group_vars, *role_defaults}
    names.update(*(group_vars.get(name, ()) for name in WITHOUT_DEFAULTS))
    words = {name.split("_")[0] for name in names} - COMMON_WORDS
    return Catalogue(
        names=frozenset(names),
        shared=frozenset(group_vars),
        defaults={
            key: item
            for key, item in {**group_vars, **role_defaults}.items()
            if not is_template(item)
        },
        derived={key: item for key, item in group_vars.items() if is_template(item)},
        prefixes=(*sorted(f"{word}_" for word in words), *MORE_PREFIXES),
        port_names=frozenset(ports),
        set_keys=frozenset(key for item in sets.values() for key in item),
    )
