"""The model: its directory and name, and whether it can be split over a group's GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.inputs.addresses import machine
from ansible.module_utils.dynfleet.inputs.files import read_json
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem
from ansible.module_utils.dynfleet.inputs.sizes import group_size, size_name

# What a model directory has at least.
NEEDED = ("config.json",)


def missing(path: str) -> str:
    """What a model directory lacks on the machine that this runs on, or nothing."""
    directory = Path(path)
    if not directory.is_dir():
        return "is not a directory"
    absent = [name for name in NEEDED if not (directory / name).is_file()]
    return f"has no {', '.join(absent)}" if absent else ""


def check(fleet: Fleet) -> Iterator[Problem]:
    """The model of each worker host."""
    for host in fleet.members("workers"):
        yield from _path(host)
        name = host.chosen("worker_model_path", "dynamo_model_path")
        path = host.text(name)
        if path and path.startswith("/"):
            brought = bool(host.text("model_source"))
            if machine(host)[0] == "local" and not brought and (lack := missing(path)):
                yield host.problem(name, lack, "put the model there")
            if host.text("dynamo_engine") == "vllm":
                yield from _shape(host, read_json(str(Path(path) / "config.json")))


def _path(host: Host) -> Iterator[Problem]:
    variable = host.chosen("worker_model_path", "dynamo_model_path")
    path, name = host.text(variable), host.text("dynamo_model_name")
    if path == "":
        yield host.problem(variable, "is empty", "name the model's directory on the worker hosts")
    elif path is not None and not path.startswith("/"):
        yield host.problem(
            variable,
            "is not absolute",
            "name a directory of the worker hosts; model_source says where the model comes from",
        )
    elif name is not None and not name.strip():
        yield host.problem(
            "dynamo_model_name",
            "is empty, and clients ask for the model by it",
            "give a name, or a dynamo_model_path that does not end in /",
        )


def shape(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a model's configuration that is about its text layers."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def _shape(host: Host, config: Mapping[str, Any]) -> Iterator[Problem]:
    size, layers = group_size(host), shape(config)
    heads, kv_heads = layers.get("num_attention_heads"), layers.get("num_key_value_heads")
    if size and isinstance(heads, int) and heads % size:
        yield host.problem(
            size_name(host),
            f"the model's {heads} attention heads do not divide by it",
            "take a size that divides them",
        )
    elif size and isinstance(kv_heads, int) and kv_heads and kv_heads % size and size % kv_heads:
        yield host.problem(
            size_name(host),
            f"the model's {kv_heads} key-value heads neither divide by it nor divide it",
            "take a size that divides them",
        )
    longest, wanted = layers.get("max_position_embeddings"), host.integer("worker_max_model_len")
    scaled = any(layers.get(key) for key in ("rope_scaling", "rope_parameters"))
    if wanted and isinstance(longest, int) and wanted > longest and not scaled:
        yield host.problem(
            "worker_max_model_len",
            f"the model's configuration goes up to {longest} tokens",
            f"give at most {longest}, or 0 for what the model says",
        )
