#!/usr/bin/python
"""Ansible module: a model's files on this host's disk, all of them or none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_files
short_description: Bring a model onto the host's disk
description:
  - Fetches what the manifest (or the hub) says belongs to the model, several files and parts of
    files at once, into a directory beside O(path); checks every digest; then gives the directory
    its name C(PATH.ID) and points the link O(path) at it. Who opens O(path) sees the old model or
    the new one, never a part.
  - A run that broke off is continued. What it left is kept as long as the source says that it still
    has the same file, and counts only if the digest of the whole file is right; else the file is
    fetched once more from its beginning. A digest that is wrong then ends the module with both
    digests, and that file is removed.
  - What is on the host already is not fetched. Files of other revisions in C(PATH.*) are linked. A
    directory of the site's at O(path) is read, and files of it that have the right digest are
    linked; the directory is kept as C(PATH.replaced-TIME). Other revisions are left alone, so that
    going back is a switch of the link.
  - A directory that is whole is not read again. Its stamp C(.dynamo-model.json) holds size, time of
    modification and digest of each file; what differs from it is read, and fetched if need be.
  - First looks whether the disk has the room and the source the files. Two runs at once on a host
    wait for each other. Journal and progress are in C(.dynamo-journal.json) of the directory that
    is being filled (module M(model_progress)).
  - Takes the proxy from the environment, except for literal private addresses, and trusts the
    host's certificates. From the hub it trusts, over TLS, which digests the commit's files have.
attributes:
  check_mode:
    description: Says what would be fetched, and fails where that could not work; changes nothing.
      Files that it would have to read are not read.
    support: full
  diff_mode:
    description: Shows the link, and how much is to be fetched.
    support: full
options:
  path:
    description: Where the model is found; becomes a link.
    type: path
    required: true
  id:
    description: Name of the revision, part of its directory's name.
    type: str
    required: true
  source:
    description:
      - Where the files come from. C(/DIRECTORY) of the host; C(rsync://HOST/MODULE/PATH) or
        C(USER@HOST:/DIRECTORY), for rsync (an IPv6 address in brackets); C(http://HOST/PATH) or
        C(https://HOST/PATH); or C(hf://ORGANISATION/NAME@COMMIT), the hub, with all 40 digits of
        the commit.
      - C(controller:/DIRECTORY) says that the files were put into RV(staging) from elsewhere.
    type: str
    required: true
  files:
    description:
      - Size in bytes and sha256 by path, for each file that belongs to the model. Required except
        for the hub, whose own list is taken where this is empty.
    type: dict
    default: {}
  exclude:
    description: Patterns of files of the hub's list that are left out; C(*) matches C(/) too.
    type: list
    elements: str
    default: []
  hub_url:
    description: The hub.
    type: str
    default: https://huggingface.co
  token:
    description: Bearer token for the HTTP source or the hub; not sent on to other hosts.
    type: str
    default: ""
  jobs:
    description: Connections at once.
    type: int
    default: 8
  timeout:
    description: Seconds that all of it may take.
    type: int
    default: 14400
  verify:
    description: Read every file again and compare digests; a wrong one is fetched anew.
    type: bool
    default: false
  user:
    description: Who reads the model; has to be able to enter the directories above it.
    type: str
    default: dynamo
  probe:
    description: Ask the source before anything is fetched.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Bring a model from a store of the site's
  model_files:
    path: /srv/models/llama-3.3-70b
    id: 0f3a5bd2c177
    source: https://store.example.org/llama-3.3-70b
    files:
      config.json: {size: 879, sha256: d58b1a5d...}
      model-00001-of-00030.safetensors: {size: 4584408808, sha256: 41b8b2f2...}

- name: Bring a commit of the hub
  model_files:
    path: /srv/models/llama-3.3-70b
    id: 6f6073b423013
    source: hf://meta-llama/Llama-3.3-70B-Instruct@6f6073b423013f6a7d4d9f39144961bfbfbc386b
    exclude: [original/*]
    token: "{{ vault_hub_token }}"
"""

RETURN = r"""
due:
  description: Whether there was anything to do, as far as that is known without reading the files.
  type: bool
  returned: always
summary:
  description: What was to be fetched, in words.
  type: str
  returned: always
  sample: 57 of 57 files, 131.4 GiB
directory:
  description: Directory of the revision.
  type: str
  returned: always
staging:
  description: Directory that is filled first.
  type: str
  returned: always
lock:
  description: File that is locked while the module works.
  type: str
  returned: always
fetch:
  description: Files that only the source has; after the work, those that were fetched.
  type: list
  elements: str
  returned: always
bytes:
  description: Size of the files in RV(fetch).
  type: int
  returned: always
total:
  description: Size of the model in bytes.
  type: int
  returned: always
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.lock import LockError
from ansible.module_utils.dynfleet.model import manifest
from ansible.module_utils.dynfleet.model.bring import Bring, Plan, Wanted
from ansible.module_utils.dynfleet.model.piece import FetchError, Unanswered
from ansible.module_utils.dynfleet.model.room import gib
from ansible.module_utils.dynfleet.model.source import HUB, SourceError, parse
from ansible.module_utils.dynfleet.model.tree import TreeError


def wanted(params: dict[str, Any]) -> Wanted:
    """The parameters, checked. Raises SourceError or ManifestError."""
    source = parse(params["source"])
    files = []
    if params["files"] or source.kind != HUB:
        files = manifest.parse({"files": params["files"]})
    return Wanted(
        path=Path(params["path"].rstrip("/")),
        identity=params["id"],
        source=source,
        files=files,
        hub=params["hub_url"].rstrip("/"),
        exclude=params["exclude"],
        token=params["token"],
        verify=params["verify"],
        user=params["user"],
        jobs=params["jobs"],
        timeout=params["timeout"],
    )


def summary(plan: Plan) -> str:
    """How much is to be fetched, in words."""
    size = sum(record.file.size for record in plan.fetch)
    return f"{len(plan.fetch)} of {len(plan.records)} files, {gib(size)}"


def difference(bring: Bring, plan: Plan) -> dict[str, str]:
    """The link and what is to be fetched, as Ansible shows it."""
    path, name = bring.wanted.path, bring.tree.final.name
    before = "absent"
    if path.is_symlink():
        before = f"link to {path.readlink()}"
    elif path.exists():
        before = "a directory"
    after = f"link to {name}"
    if plan.damaged:
        after += f"\nto fetch: {summary(plan)}"
    header = str(path)
    return {
        "before": f"{before}\n",
        "after": f"{after}\n",
        "before_header": header,
        "after_header": header,
    }


def work(module: AnsibleModule, bring: Bring) -> dict[str, Any]:
    """Look, and unless in check mode bring the model: the module's result."""
    plan = bring.plan()
    changed = plan.changed
    fetch = [record.file.path for record in plan.fetch]
    diff = difference(bring, plan) if changed else {}
    if changed and module.params["probe"] and (problems := bring.problems(plan)):
        raise FetchError("; ".join(problems))
    if not module.check_mode:
        fetch, changed = bring.apply()
    sizes = {file.path: file.size for file in plan.files}
    return {
        "changed": changed,
        "diff": diff if changed else {},
        "due": plan.changed,
        "summary": summary(plan),
        "directory": str(bring.tree.final),
        "staging": str(bring.tree.staging),
        "lock": str(bring.tree.lock),
        "fetch": fetch,
        "bytes": sum(sizes[path] for path in fetch),
        "total": sum(sizes.values()),
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
            "files": {"type": "dict", "default": {}},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "hub_url": {"type": "str", "default": "https://huggingface.co"},
            "token": {"type": "str", "default": "", "no_log": True},
            "jobs": {"type": "int", "default": 8},
            "timeout": {"type": "int", "default": 14400},
            "verify": {"type": "bool", "default": False},
            "user": {"type": "str", "default": "dynamo"},
            "probe": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    # Directories are made for all to enter; root's umask may be another.
    os.umask(0o022)
    try:
        result = work(module, Bring(wanted(module.params)))
    except SourceError as error:
        module.fail_json(msg=f"source {error}; {error.mend}")
    except manifest.ManifestError as error:
        module.fail_json(msg=f"files: {error}")
    except (FetchError, Unanswered, TreeError, LockError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['path']}: {error.strerror}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
