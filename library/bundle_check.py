#!/usr/bin/python
"""Ansible module: whether a bundle serves the hosts of an inventory, and is whole."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_check
short_description: Check a bundle before anything is deployed from it
description:
  - Reads the manifest of a bundle and compares it with what the hosts need. With O(whole) every
    file is read and compared with the manifest too. Runs where the archive is, on the controller,
    and changes nothing.
attributes:
  check_mode:
    description: Does the same, as it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  path:
    description: The archive.
    type: path
    required: true
  release:
    description: Id of the wanted release.
    type: str
    required: true
  locks:
    description: sha256 of each of its lock files by name, where nothing was built for it.
    type: dict
    default: {}
  distributions:
    description: Codename of each host's distribution release.
    type: dict
    default: {}
  archives:
    description: sha256 of each archive that roles will fetch.
    type: list
    elements: str
    default: []
  whole:
    description: Whether every file is read.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Check the bundle
  bundle_check:
    path: /root/dynamo-1.4.2-mocker-0123456789.tar
    release: dynamo-1.4.2-mocker-0123456789
    distributions: {gpu1: trixie}
"""

RETURN = r"""
id:
  description: Id of the bundle.
  type: str
  returned: always
release:
  description: Id of the release in it.
  type: str
  returned: always
keys:
  description: Public key of the packages for each distribution release.
  type: dict
  returned: always
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.bundle import archive, manifest
from ansible.module_utils.dynfleet.bundle.manifest import BundleError


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "locks": {"type": "dict", "default": {}},
            "distributions": {"type": "dict", "default": {}},
            "archives": {"type": "list", "elements": "str", "default": []},
            "whole": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    path = Path(params["path"])
    try:
        text = archive.head(path)
        content = manifest.parsed(text, str(path))
        found = manifest.objections(
            content,
            params["release"],
            params["locks"],
            params["distributions"],
            params["archives"],
        )
        if found:
            raise BundleError(f"{path} does not serve these hosts:\n- " + "\n- ".join(found))
        if params["whole"]:
            archive.read(path, lambda _: None)
    except BundleError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        id=manifest.identity(text),
        release=content["release"],
        keys={name: item["key"] for name, item in content["packages"].items()},
    )


if __name__ == "__main__":
    main()
