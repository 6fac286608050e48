#!/usr/bin/python
"""Ansible module: programs out of a release archive, by URL and digest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tool_archive
short_description: Install programs from a release archive
description:
  - Fetches a tar archive, checks its digest, and puts the named programs of it into a directory.
    The directory appears whole or not at all, so that a run which was killed or met a wrong
    digest leaves nothing behind that a later one takes for installed.
  - The directory's name should hold the digest. Where the programs are there, nothing is done.
  - Takes the proxy from the environment and trusts the host's certificates.
attributes:
  check_mode:
    description: Says whether the programs would be installed; fetches nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  url:
    description: Address of the archive, by http, https, ftp or file.
    type: str
    required: true
  sha256:
    description: Digest of the archive.
    type: str
    required: true
  programs:
    description: File names, without directories, of the programs in the archive.
    type: list
    elements: str
    required: true
  optional:
    description: Programs that only some releases have; one that is not in the archive is left out.
    type: list
    elements: str
    default: []
  path:
    description: Directory of the programs.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Install etcd
  tool_archive:
    url: https://example.org/etcd-v3.5.16-linux-amd64.tar.gz
    sha256: b414b27a5ad05f7cb01395c447c85d3227e3fb1c176e51757a283b817f645ccc
    programs: [etcd, etcdctl]
    path: /opt/dynamo/tools/etcd-b414b27a5ad0
"""

RETURN = r"""
installed:
  description: Programs that were missing.
  type: list
  elements: str
  returned: always
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import archive


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "programs": {"type": "list", "elements": "str", "required": True},
            "optional": {"type": "list", "elements": "str", "default": []},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    directory = Path(params["path"])
    wanted = archive.missing(directory, params["programs"])
    if wanted and not module.check_mode:
        try:
            archive.install(
                params["url"],
                params["sha256"],
                params["programs"],
                directory,
                optional=params["optional"],
            )
        except archive.ArchiveError as error:
            module.fail_json(msg=f"{', '.join(params['programs'])}: {error}")
    module.exit_json(changed=bool(wanted), installed=wanted)


if __name__ == "__main__":
    main()
