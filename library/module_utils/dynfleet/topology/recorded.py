"""A topology from a recorded file: this project's own JSON, or text of `nvidia-smi topo -m`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.topology.links import SELF, canonical
from ansible.module_utils.dynfleet.topology.topo_text import NotAMatrix, parse

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
    return {**parse_text(f"recorded topology {path}", text), "source": f"recorded:{path}"}


def parse_text(name: str, text: str) -> dict[str, Any]:
    """The topology in a text; `name` is what messages call it. Raises Unreadable."""
    topology = _from_json(name, text) if text.lstrip().startswith("{") else _from_text(name, text)
    check(topology, name)
    return {"source": name, **topology}


def _from_json(name: str, text: str) -> dict[str, Any]:
    """This project's JSON (also as a module printed it), or a bare matrix."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"{name}: not JSON ({error}); a file holds one host") from error
    value = value.get("topology", value)
    if "schema" not in value and isinstance(value.get("gpus"), int):
        return _from_matrix(value)
    if value.get("schema") != SCHEMA:
        raise Unreadable(
            f"{name}: schema is {value.get('schema')}, this release reads {SCHEMA}: record it anew"
            " with the module gpu_topology"
        )
    return {**_empty(), **value}


def _from_matrix(value: dict[str, Any]) -> dict[str, Any]:
    """A bare matrix: `gpus` (their number), `links`, `numa` (null where not known), `gpu`."""
    numa = value.get("numa") or [None] * value["gpus"]
    unknown = ("uuid", "pci", "minor", "memory_bytes", "mig", "cpus")
    gpus = [
        {
            "index": index,
            **dict.fromkeys(unknown),
            "name": value.get("gpu"),
            "lost": False,
            "numa_node": node,
            "health": {},
        }
        for index, node in enumerate(numa)
    ]
    links = [[canonical(str(cell)) or cell for cell in row] for row in value.get("links", [])]
    return {**_empty(), "gpus": gpus, "links": links, "host": value.get("id")}


def _from_text(name: str, text: str) -> dict[str, Any]:
    """Text of `nvidia-smi topo -m`."""
    try:
        found = parse(text)
    except NotAMatrix as error:
        raise Unreadable(f"{name}: {error}") from error
    return {**_empty(), **found, "status": "degraded" if found["problems"] else "ok"}


def _empty() -> dict[str, Any]:
    """A topology of which nothing is known."""
    return {
        "schema": SCHEMA,
        "sources": {"": "the recorded file"},
        "host": None,
        "status": "ok",
        "problems": [],
        "gpus": [],
        "links": [],
        "nvme": [],
        "network": [],
        "numa_nodes": [],
        "cpu": {"model": None, "online": None, "sockets": None},
        "driver": {"version": None, "cuda": None},
        "kernel_modules": {},
        "memlock": {"soft_bytes": None, "hard_bytes": None},
        "iommu": {"groups": None, "types": [], "cmdline": []},
        "acs": {"bridges": 0, "redirecting": []},
        "paths": [],
    }


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
