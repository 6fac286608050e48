"""The names of our units: the only ones that we list as ours, stop or remove. Pure."""

from __future__ import annotations

import re

# What roles install; a template stands for its numbered instances.
NAMES = (
    "dynamo.target",
    "dynamo-etcd.service",
    "dynamo-frontend.service",
    "dynamo-nats.service",
    "dynamo-wheelhouse.service",
)
TEMPLATES = ("dynamo-worker@.service",)
_INSTANCE = re.compile(r"(.+@)\d+(\..+)")
# Directories that systemd reads beside a unit: drop-ins, and links to what a target starts.
BESIDE = (".d", ".wants")


def is_unit(name: str) -> bool:
    """Whether a name is that of a unit of ours: a site's `dynamo-backup.service` is not."""
    instance = _INSTANCE.fullmatch(name)
    return name in NAMES or bool(instance and "".join(instance.groups()) in TEMPLATES)


def is_file(name: str) -> bool:
    """Whether a name in /etc/systemd/system is that of a unit of ours, or of a directory of one."""
    for ending in BESIDE:
        name = name[: -len(ending)] if name.endswith(ending) else name
    return is_unit(name) or name in TEMPLATES
