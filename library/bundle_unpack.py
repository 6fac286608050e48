#!/usr/bin/python
"""Ansible module: a bundle unpacked into the wheelhouse."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_unpack
short_description: Unpack a bundle into the wheelhouse
description:
  - The release of the bundle becomes C(ROOT/RELEASE), as if it had been collected here; packages
    and archives go to C(ROOT/bundles/ID). Each appears whole or not at all, and every file is
    compared with the bundle's manifest on the way.
  - Other bundles are removed, and releases over the number to keep.
attributes:
  check_mode:
    description: Says whether there is something to unpack; touches nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  path:
    description: The archive, on this host.
    type: path
    required: true
  root:
    description: Directory of the wheelhouse.
    type: path
    required: true
  id:
    description: Id of the bundle.
    type: str
    required: true
  release:
    description: Id of its release.
    type: str
    required: true
  keep:
    description: Releases that stay in the wheelhouse, this one included, the newest ones.
    type: int
    default: 3
  timeout:
    description: Seconds to wait for another run.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Unpack the bundle
  bundle_unpack:
    path: /srv/dynamo/wheelhouse/.bundle.tar
    root: /srv/dynamo/wheelhouse
    id: 0123456789ab
    release: dynamo-1.4.2-mocker-0123456789
"""

RETURN = r"""
missing:
  description: Whether the bundle, or its release, was not there.
  type: bool
  returned: always
pruned:
  description: Directories of the wheelhouse that were removed.
  type: list
  elements: str
  returned: when something was unpacked
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.bundle import unpack
from ansible.module_utils.dynfleet.bundle.manifest import BundleError
from ansible.module_utils.dynfleet.lock import LockError, locked
from ansible.module_utils.dynfleet.wheels import house


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "root": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    params = module.params
    root = Path(params["root"])
    missing = not unpack.is_there(root, params["id"], params["release"])
    if module.check_mode or not missing:
        module.exit_json(changed=missing, missing=missing)
    # Whatever root's umask: the web server's user has to read what is made here.
    os.umask(0o022)
    try:
        with locked(root / house.LOCK, params["timeout"]):
            unpack.unpack(Path(params["path"]), root, (params["id"], params["release"]))
            pruned = unpack.prune(root, params["id"])
            pruned += house.prune(root, params["release"], params["keep"])
    except (BundleError, LockError, OSError) as error:
        module.fail_json(msg=f"bundle {params['id']}: {error}")
    module.exit_json(changed=True, missing=True, pruned=pruned)


if __name__ == "__main__":
    main()
