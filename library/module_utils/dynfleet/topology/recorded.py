"""A topology from a recorded file: this project's own JSON, or text of `nvidia-smi topo -m`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology.links import SELF, canonical

SCHEMA = 1
MAX_BYTES = 4 << 20


class Unreadable(Exception):
    """The recorded file cannot be used; the message says which file, why and what to do."""


def read(path: str) -> dict[str, Any]:
    """The topology in a file. Its `source` becomes `recorded:<path>`. Raises Unreadable."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8", "replace")
    except OSError as error:
        raise Unreadable(f"recorded topology {path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"recorded topology {path}: larger than {MAX_BYTES} bytes")
    topology = _from_json(path, text)
    check(topology, f"recorded topology {path}")
    return {**topology, "source": f"recorded:{path}"}


def _from_json(path: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"recorded topology {path}: not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise Unreadable(f"recorded topology {path}: no object with schema {SCHEMA}")
    return value


def check(topology: dict[str, Any], name: str) -> None:
    """Raise Unreadable where GPUs and link matrix do not belong together."""
    gpus, links = topology.get("gpus"), topology.get("links")
    if not isinstance(gpus, list) or not isinstance(links, list):
        raise Unreadable(f"{name}: needs the lists gpus and links")
    if len(links) != len(gpus) or any(len(row) != len(gpus) for row in links):
        raise Unreadable(f"{name}: {len(gpus)} GPUs need a link matrix of that size")
    for one, row in enumerate(links):
        for other, link in enumerate(row):
            if canonical(str(link)) is None or (link == SELF) != (one == other):
                raise Unreadable(f"{name}: links[{one}][{other}] is '{link}', no link class")
            if links[other][one] != link:
                raise Unreadable(
                    f"{name}: asymmetric, links[{one}][{other}] is {link} but"
                    f" links[{other}][{one}] is {links[other][one]}"
                )
