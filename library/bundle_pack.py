#!/usr/bin/python
"""Ansible module: a release, packages and archives in one file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_pack
short_description: Pack what a service is deployed from into one archive
description:
  - Puts the release's directory of the wheelhouse, apt repositories and release archives into a tar
    archive with a C(manifest.json) (what it is, and sha256 and size of each file) and
    C(SHA256SUMS), and writes the archive's own sha256 beside it, into C(PATH.sha256).
  - The same files give the same archive, byte for byte. One that is there and has the same manifest
    is left alone.
attributes:
  check_mode:
    description: Says that it would be looked at; reads nothing.
    support: partial
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  path:
    description: The archive.
    type: path
    required: true
  release:
    description: Directory of the release in the wheelhouse.
    type: path
    required: true
  repositories:
    description: Directory that holds an apt repository for each distribution release.
    type: path
    required: true
  packages:
    description: By distribution release, C(key) and C(packages) as M(package_closure) returns them.
    type: dict
    required: true
  archives:
    description: Directory of release archives, each under its sha256; missing ones are loaded.
    type: path
    required: true
  archive_urls:
    description: Where each archive came from, by sha256.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Pack the bundle
  bundle_pack:
    path: /srv/dynamo/bundle/dynamo-1.4.2-mocker-0123456789.tar
    release: /srv/dynamo/wheelhouse/dynamo-1.4.2-mocker-0123456789
    repositories: /srv/dynamo/bundle/apt
    packages: {trixie: {key: ..., packages: {nats-server: 2.10.27-2}}}
    archives: /srv/dynamo/bundle/archives
"""

RETURN = r"""
id:
  description: Id of the bundle, from the digest of its manifest.
  type: str
  returned: unless in check mode
sha256:
  description: Digest of the archive.
  type: str
  returned: unless in check mode
size:
  description: Size of the archive in bytes.
  type: int
  returned: unless in check mode
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.bundle import archive, manifest
from ansible.module_utils.dynfleet.bundle.manifest import BundleError
from ansible.module_utils.dynfleet.download import DownloadError, download
from ansible.module_utils.dynfleet.files import sha256_of
from ansible.module_utils.dynfleet.wheels import origins


def sources(params: dict[str, Any]) -> dict[str, Path]:
    """File by its path in the bundle."""
    found = {f"wheels/{path.name}": path for path in Path(params["release"]).iterdir()}
    for name in params["packages"]:
        directory = Path(params["repositories"]) / name
        found |= {f"apt/{name}/{path.name}": path for path in directory.iterdir()}
    for sha256 in params["archive_urls"]:
        found[f"archives/{sha256}"] = Path(params["archives"]) / sha256
    return found


def load(directory: Path, urls: Mapping[str, str]) -> None:
    """Have each archive under its sha256. Raises BundleError."""
    for sha256, url in urls.items():
        path = directory / sha256
        if path.is_file() and sha256_of(path) == sha256.lower():
            continue
        partial = directory / f".{sha256}.partial"
        try:
            download(url, sha256, partial)
        except DownloadError as error:
            raise BundleError(str(error)) from error
        partial.replace(path)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "release": {"type": "path", "required": True},
            "repositories": {"type": "path", "required": True},
            "packages": {"type": "dict", "required": True},
            "archives": {"type": "path", "required": True},
            "archive_urls": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    path = Path(params["path"])
    if module.check_mode:
        module.exit_json(changed=not path.exists())
    os.umask(0o022)
    sidecar = path.with_name(f"{path.name}.sha256")
    try:
        load(Path(params["archives"]), params["archive_urls"])
        files = sources(params)
        record = json.loads((Path(params["release"]) / origins.FILE).read_text())
        digests = {name: (sha256_of(p), p.stat().st_size) for name, p in files.items()}
        text = manifest.text(
            manifest.made(record, params["packages"], params["archive_urls"], digests)
        )
        manifest.parsed(text, str(path))
        changed = not (path.exists() and sidecar.exists() and archive.head(path) == text)
        if changed:
            sidecar.unlink(missing_ok=True)
            sha256 = archive.write(path, files, text)
            sidecar.write_text(f"{sha256}  {path.name}\n")
    except (BundleError, OSError) as error:
        module.fail_json(msg=f"bundle {path.name}: {error}")
    module.exit_json(
        changed=changed,
        id=manifest.identity(text),
        sha256=sidecar.read_text().split()[0],
        size=path.stat().st_size,
    )


if __name__ == "__main__":
    main()
