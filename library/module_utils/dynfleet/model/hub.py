"""Files of a repository of the hub at one commit.

The hub's own client is not used: of what it fetches over HTTP it checks the size alone, and it
would have to be installed before anything of the release is. Two of its endpoints are enough:

- ``GET /api/models/REPOSITORY/tree/COMMIT?recursive=true``: a list of ``{type, path, size, oid,
  lfs: {oid, size}}``, in pages by a Link header. ``lfs.oid`` is the sha256 of a file in LFS;
  ``oid`` of any other is its Git blob's id. (huggingface_hub 2.4.0, hf_api.py, list_repo_tree.)
- ``GET /REPOSITORY/resolve/COMMIT/PATH``: the file, mostly by a redirect to a storage host.

Trusted is the hub, over TLS, to list what the commit holds; what it and its storage then send is
checked against that list.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from ansible.module_utils.dynfleet.model.manifest import (
    GIT,
    HEXADECIMAL,
    NEEDED,
    SHA256,
    File,
    unsafe,
)
from ansible.module_utils.dynfleet.model.piece import FetchError
from ansible.module_utils.dynfleet.model.source import Source
from ansible.module_utils.dynfleet.model.web import Client


def excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns matches; ``*`` matches ``/`` too."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def entry(item: Any) -> File:
    """An entry of the list. Raises KeyError or TypeError where it is another than expected."""
    lfs = item.get("lfs")
    if lfs:
        return File(item["path"], int(lfs["size"]), SHA256, str(lfs["oid"]))
    return File(item["path"], int(item["size"]), GIT, str(item["oid"]))


def listing(client: Client, hub: str, source: Source, patterns: Sequence[str]) -> list[File]:
    """Files of the commit without those that a pattern excludes, in order of path."""
    url = f"{hub}/api/models/{source.place}/tree/{source.commit}?recursive=true"
    files = []
    try:
        for page in client.pages(url):
            files += [entry(item) for item in page if item["type"] == "file"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FetchError(f"{url}: is no list of files as the hub gives it ({error!r})") from error
    wanted = sorted(
        (file for file in files if not excluded(file.path, patterns)), key=lambda file: file.path
    )
    for file in wanted:
        if reason := unsafe(file.path):
            raise FetchError(f"{url}: names {file.path!r}, which {reason}")
        if len(file.digest) != HEXADECIMAL[file.kind]:
            raise FetchError(f"{url}: gives {file.path} the digest {file.name}")
    if NEEDED not in [file.path for file in wanted]:
        raise FetchError(
            f"{url}: without what model_exclude leaves out it has no {NEEDED}, so it is no model's"
        )
    return wanted
