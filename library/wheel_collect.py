#!/usr/bin/python
"""Ansible module: the wheels of one release, in one directory of the wheelhouse."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheel_collect
short_description: Collect the wheels of a release
description:
  - Makes C(ROOT/RELEASE), which holds every wheel that the release's lock files name, wheels that
    were built included, the lock files that hosts install from (C(PART-pyX.Y.txt)), and
    C(origins.json), which says of each wheel its sha256 and where it comes from, and of each lock
    file its sha256.
  - A part of the release (C(frontend), C(worker)) has a lock for each Python. The final lock of the
    workers is their base lock without the packages that were built, and with a pin of each built
    wheel; in the frontends' lock, built wheels take the place of packages of the same version. A
    Python that a built wheel does not fit gets none.
  - Every file is known by its digest before the index is asked; pip loads it and refuses another.
    The directory appears whole or not at all. A run that was killed or failed leaves
    C(RELEASE.partial), whose whole files the next run takes; so it does with the files of other
    releases. Two runs at once wait for each other.
attributes:
  check_mode:
    description: Says whether the directory would be made; asks no index.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  root:
    description: Directory of the wheelhouse.
    type: path
    required: true
  release:
    description: Id of the release.
    type: str
    required: true
  release_set:
    description: Name of the release set, for the record.
    type: str
    required: true
  locks:
    description: Path of the base lock file, by its name (C(PART-pyX.Y)). It may be the path that
      the final lock is to have, in C(RELEASE.partial).
    type: dict
    required: true
  installer:
    description: The pin of the installer, a line like those of a lock file.
    type: str
    required: true
  glibc:
    description: N of the hosts' glibc 2.N.
    type: int
    required: true
  builds:
    description: What was built from source, a fact C(<component>_build) of a build role each.
    type: list
    elements: dict
    default: []
    suboptions:
      component:
        description: What was built.
        type: str
        required: true
      digest:
        description: Digest of the build's inputs.
        type: str
        required: true
      directory:
        description: Directory of the build.
        type: path
      wheels:
        description: The wheels, with file, path, name, version and sha256 each.
        type: list
        elements: dict
        required: true
      origin:
        description: Repository, commit, patches, flags and what else decided the build.
        type: dict
        required: true
  keep:
    description: Releases that stay in the wheelhouse, this one included, the newest ones. The
      others are removed after a release was added, never without.
    type: int
    default: 3
  timeout:
    description: Seconds that one call of pip (eight packages) may take.
    type: int
    default: 7200
"""

EXAMPLES = r"""
- name: Collect the wheels
  wheel_collect:
    root: /srv/dynamo/wheelhouse
    release: dynamo-1.4.2-mocker-0123456789
    release_set: dynamo-1.4.2-mocker
    locks: {worker-py3.12: /root/worker.txt, frontend-py3.12: /root/frontend.txt}
    installer: uv==0.13.9 --hash=sha256:d7f4...
    glibc: 28
    builds: ["{{ flexkv_build }}"]
"""

RETURN = r"""
loaded:
  description: Files that came from the index in this run.
  type: list
  elements: str
  returned: when the directory was made
reused:
  description: Files from the index that were there already.
  type: list
  elements: str
  returned: when the directory was made
pruned:
  description: Directories of the wheelhouse that were removed.
  type: list
  elements: str
  returned: when the directory was made
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.lock import LockError, locked
from ansible.module_utils.dynfleet.wheels import house
from ansible.module_utils.dynfleet.wheels.collect import Wanted
from ansible.module_utils.dynfleet.wheels.names import WheelError

BUILD_OPTIONS: dict[str, Any] = {
    "component": {"type": "str", "required": True},
    "digest": {"type": "str", "required": True},
    "directory": {"type": "path"},
    "wheels": {"type": "list", "elements": "dict", "required": True},
    "origin": {"type": "dict", "required": True},
}


def wanted_of(params: dict[str, Any]) -> Wanted:
    """The parameters, with the lock files read."""
    return Wanted(
        release=params["release"],
        release_set=params["release_set"],
        locks={name: Path(path).read_text() for name, path in params["locks"].items()},
        installer=params["installer"],
        glibc=params["glibc"],
        builds=params["builds"],
    )


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "release_set": {"type": "str", "required": True},
            "locks": {"type": "dict", "required": True},
            "installer": {"type": "str", "required": True},
            "glibc": {"type": "int", "required": True},
            "builds": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": BUILD_OPTIONS,
            },
            "keep": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 7200},
        },
        supports_check_mode=True,
    )
    params = module.params
    root = Path(params["root"])
    whole = root / params["release"]
    if house.is_whole(whole) or module.check_mode:
        module.exit_json(changed=not house.is_whole(whole))
    # Whatever root's umask: the web server's user has to read what is made here.
    os.umask(0o022)
    try:
        with locked(root / house.LOCK, params["timeout"]) as lock:
            if house.is_whole(whole):
                module.exit_json(changed=False)
            result = house.collect(wanted_of(params), root, params["timeout"], lock)
            pruned = house.prune(root, params["release"], params["keep"])
    except (WheelError, LockError, OSError) as error:
        module.fail_json(msg=f"release {params['release']}: {error}")
    module.exit_json(changed=True, pruned=pruned, **result)


if __name__ == "__main__":
    main()
