#!/usr/bin/python
"""Ansible module: an apt repository of some packages with all that they depend on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_closure
short_description: Make a signed apt repository of packages and all that they depend on
description:
  - Asks apt of this host what has to be loaded to install the packages on a host that has nothing,
    loads it, and makes the directory an apt repository (C(Packages), C(Release), C(InRelease)),
    signed with a key made for it, whose public part is C(key.asc) and whose private part is not
    kept.
  - Every file is compared with the sha256 of the distribution's signed package lists. What is there
    already, or in the host's cache of packages, is not loaded again. While the packages stay the
    same, so do the indexes and the key.
  - Needs the programs of the packages C(apt-utils) and C(gnupg), and recent package lists.
attributes:
  check_mode:
    description: Says what would be loaded; asks apt, which touches nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  packages:
    description: Names of packages.
    type: list
    elements: str
    required: true
  path:
    description: Directory of the repository.
    type: path
    required: true
  timeout:
    description: Seconds that apt may take.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Take the packages along
  package_closure:
    packages: [etcd-server, nats-server]
    path: /srv/dynamo/bundle/apt/bookworm
"""

RETURN = r"""
loaded:
  description: Files that were missing.
  type: list
  elements: str
  returned: always
packages:
  description: Version of each package of the closure, by name.
  type: dict
  returned: always
key:
  description: The public key.
  type: str
  returned: unless in check mode
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.bundle.repository import KEY, Repository, RepositoryError
from ansible.module_utils.dynfleet.lock import LockError, locked


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "required": True},
            "path": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    params = module.params
    path = Path(params["path"])
    if module.check_mode and not path.is_dir():
        module.exit_json(changed=True, loaded=[], packages={})
    os.umask(0o022)
    repository = Repository(path, params["timeout"])
    try:
        with locked(path.parent / f".{path.name}.lock", params["timeout"]):
            path.mkdir(exist_ok=True)
            wanted = repository.wanted(params["packages"])
            missing = repository.missing(wanted)
            signed = False
            if not module.check_mode:
                repository.load(params["packages"], wanted)
                signed = repository.sign(wanted)
    except (RepositoryError, LockError, OSError) as error:
        module.fail_json(msg=f"{', '.join(params['packages'])}: {error}")
    key = {} if module.check_mode else {"key": (path / KEY).read_text()}
    module.exit_json(
        changed=bool(missing) or signed,
        loaded=[package.file for package in missing],
        packages={package.name: package.version for package in wanted},
        **key,
    )


if __name__ == "__main__":
    main()
