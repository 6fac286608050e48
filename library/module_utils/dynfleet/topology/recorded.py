"""A topology from a recorded file: this project's own JSON, or text of `nvidia-smi topo -m`."""

from __future__ import annotations

import codecs
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
    except OSError as error:
        raise Unreadable(f"recorded topology {path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"recorded topology {path}: larger than {MAX_BYTES} bytes")
    # PowerShell's `>` writes UTF-16 with a byte order mark, other editors put one before UTF-8.
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = raw.decode("utf-16" if utf16 else "utf-8-sig", "replace")
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
    if not isinstance(value, dict):
        raise Unreadable(f"{name}: topology is no object")
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
    links = value.get("links")
    if links and is_matrix(links):
        links = [[canonical(str(cell)) or cell for cell in row] for row in links]
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


def is_matrix(links: Any) -> bool:
    """Whether it is a list of lists."""
    return isinstance(links, list) and all(isinstance(row, list) for row in links)


def check(topology: dict[str, Any], name: str) -> None:
    """Raise Unreadable where GPUs and link matrix are none, or do not belong together."""
    gpus, links = topology.get("gpus"), topology.get("links")
    if not isinstance(gpus, list) or not is_matrix(links):
        raise Unreadable(f"{name}: needs the lists gpus and links")
    _check_gpus(gpus, name)
    _check_links(links or [], len(gpus), name)


def _check_gpus(gpus: list[Any], name: str) -> None:
    for place, gpu in enumerate(gpus):
        if not isinstance(gpu, dict) or type(gpu.get("index")) is not int:
            raise Unreadable(f"{name}: gpus[{place}] has no index")
    for key in ("index", "uuid"):
        seen = [gpu[key] for gpu in gpus if gpu.get(key) is not None]
        if twice := [value for value in seen if seen.count(value) > 1]:
            raise Unreadable(f"{name}: two GPUs have the {key} {twice[0]}")


def _check_links(links: list[list[Any]], count: int, name: str) -> None:
    if len(links) != count or any(len(row) != count for row in links):
        raise Unreadable(f"{name}: {count} GPUs need a link matrix of that size")
    for one, row in enumerate(links):
        for other, link in enumerate(row):
            if canonical(str(link)) is None or (link == SELF) != (one == other):
                raise Unreadable(f"{name}: links[{one}][{other}] is '{link}', no link class")
            if links[other][one] != link:
                raise Unreadable(
                    f"{name}: asymmetric, links[{one}][{other}] is {link} but"
                    f" links[{other}][{one}] is {links[other][one]}"
                )
