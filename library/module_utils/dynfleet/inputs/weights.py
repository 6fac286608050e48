"""Where a model is brought from, and the list of its files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem
from ansible.module_utils.dynfleet.model import manifest, source

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
MAKE = "make it: tools/model-manifest DIRECTORY > FILE"


@cache
def read(path: str) -> list[manifest.File] | str:
    """The files that a manifest lists, or what is wrong with it."""
    try:
        return manifest.parse(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return f"is no JSON: {error}"
    except manifest.ManifestError as error:
        return str(error)


@cache
def lacking(directory: str, path: str) -> str:
    """What a directory of the controller lacks of a manifest, or nothing."""
    files = read(path)
    for file in [] if isinstance(files, str) else files:
        try:
            size = (Path(directory) / file.path).stat().st_size
        except OSError as error:
            return f"{file.path}: {error.strerror}"
        if not os.access(Path(directory) / file.path, os.R_OK):
            return f"{file.path} may not be read by the user who runs Ansible"
        if size != file.size:
            return f"{file.path} has {size} bytes, model_manifest says {file.size}"
    return ""


def check(fleet: Fleet) -> Iterator[Problem]:
    """The source and the manifest of each worker host."""
    for host in fleet.members("workers"):
        text = host.text("model_source")
        if text == "" and host.text("model_manifest"):
            yield host.problem(
                "model_manifest",
                "is not used, for model_source is empty",
                "say where the model comes from, or take it out",
                warning=True,
            )
        elif text:
            yield from _source(host, text)
            yield from _elsewhere(host)


def _source(host: Host, text: str) -> Iterator[Problem]:
    try:
        place = source.parse(text)
    except source.SourceError as error:
        # A password in it is not shown.
        shown = re.sub(r"//[^/@]*@", "//...@", text)
        yield host.problem("model_source", str(error), error.mend, value=shown)
        return
    listed = host.text("model_manifest")
    if listed:
        yield from _manifest(host, listed)
    elif listed == "" and place.kind != source.HUB:
        yield host.problem(
            "model_manifest", "is empty, and model_source is not the hub, which has a list", MAKE
        )
    if place.kind == source.CONTROLLER:
        yield from _controller(host, place.place, listed or "")
    if place.kind == source.HUB:
        url = host.text("model_hub_url")
        if url is not None and re.search(r"//[^/]*@", url):
            shown = re.sub(r"//[^/]*@", "//...@", url)
            told = "put a token into model_token instead"
            yield host.problem(
                "model_hub_url", "holds a password, which would be in logs", told, value=shown
            )
        elif url is not None and not _URL.fullmatch(url):
            yield host.problem("model_hub_url", "is no address", "give https://HOST")
    web = text if place.kind == source.HTTP else host.text("model_hub_url") or ""
    if host.text("model_token") and web.startswith("http:"):
        yield host.problem(
            "model_token",
            "goes over the network as it is: the address begins with http",
            "give an address that begins with https",
            value="(withheld)",
            warning=True,
        )


def _manifest(host: Host, path: str) -> Iterator[Problem]:
    if not path.startswith("/"):
        yield host.problem(
            "model_manifest", "is not absolute", "begin it with {{ inventory_dir }}/models/"
        )
    elif (Path(path).parent / "group_vars").is_dir():
        yield host.problem(
            "model_manifest",
            "lies in the inventory's own directory, where Ansible takes it for a list of hosts",
            "move it into a directory models/ there",
        )
    elif isinstance(wrong := read(path), str):
        yield host.problem("model_manifest", wrong, MAKE)


def _controller(host: Host, directory: str, listed: str) -> Iterator[Problem]:
    if lack := lacking(directory, listed):
        yield host.problem("model_source", lack, "correct the directory, or the manifest")


def _elsewhere(host: Host) -> Iterator[Problem]:
    """Workers look where the model is brought to."""
    told, brought = host.text("worker_model_path"), host.text("model_path")
    if told and brought and told.rstrip("/") != brought.rstrip("/"):
        yield host.problem(
            host.chosen("worker_model_path", "dynamo_model_path"),
            f"workers look for the model in {told}, and it is brought to {brought}",
            "set dynamo_model_path, and neither of the two",
        )
