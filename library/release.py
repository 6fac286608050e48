#!/usr/bin/python
"""Ansible module: one release of the service as an immutable directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Install a release from a wheelhouse and make it current
description:
  - Makes in C(ROOT/releases/ID) a directory for each of the O(parts), a virtual environment for the
    Python that this module runs with, from the wheels of a lock file, and points C(ROOT/current) at
    the release. C(ROOT/good) and C(ROOT/previous), which a roll-back goes by, are those of
    M(release_good).
  - Everything fetched is checked against a digest given here or in the lock file. Nothing is
    compiled and no package index is asked.
  - A part counts as made only when its C(manifest.json) is there, which is written last, after
    what has to be importable was imported. It names the release, its set, Python, lock file and
    date, and of every wheel its digest and where it comes from. A half-made directory is removed
    and made anew; the link is never pointed at one. Two runs at once on a host wait for each other.
  - A part that was made of another lock file than the wheelhouse has under this id is
    refused, and nothing is changed.
attributes:
  check_mode:
    description: Says what would be made, switched and removed; touches nothing.
    support: full
  diff_mode:
    description: Shows the link and the directories that come and go.
    support: full
options:
  id:
    description: Name of the release.
    type: str
    required: true
  root:
    description: Directory that holds C(releases) and C(current).
    type: path
    required: true
  install:
    description: Whether the release is made if it is not there. Otherwise it has to be there.
    type: bool
    default: true
  switch:
    description: Whether it becomes the current one. Otherwise nothing that runs is affected.
    type: bool
    default: true
  url:
    description: URL of the directory with the wheels and the lock files (C(PART-pyX.Y.txt)).
      Required with O(install).
    type: str
  locks:
    description: sha256 of the lock file, by its name (C(PART-pyX.Y)). Required with O(install); in
      check mode it may be empty, where the wheelhouse has not been made yet.
    type: dict
  origins_sha256:
    description: sha256 of the wheelhouse's C(origins.json). Required with O(install).
    type: str
  uv_wheel:
    description: File name of the installer's wheel. Required with O(install).
    type: str
  uv_sha256:
    description: sha256 of the installer's wheel. Required with O(install).
    type: str
  parts:
    description: What this host needs of the release (C(frontend), C(worker)), and of each the
      modules that have to be importable.
    type: dict
    required: true
  keep:
    description: Releases that stay on the host, the newest ones. The current one, those that a
      roll-back may go to, O(id), and those that a running process was started from stay whatever
      their number. 0 removes none.
    type: int
    default: 0
  timeout:
    description: Seconds that the installation may take.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Install the release and switch to it
  release:
    id: dynamo-1.4.2-mocker-0123456789
    root: /opt/dynamo
    url: http://10.0.0.11:8080/dynamo-1.4.2-mocker-0123456789
    locks: {frontend-py3.12: 5f1d..., worker-py3.12: 77aa...}
    origins_sha256: 09ab...
    uv_wheel: uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
    uv_sha256: d7f4...
    parts: {frontend: [dynamo.frontend.main]}
    keep: 3

- name: Switch to a release that is there
  release:
    id: dynamo-1.4.2-mocker-0123456789
    root: /opt/dynamo
    parts: {frontend: [dynamo.frontend.main]}
    install: false
"""

RETURN = r"""
path:
  description: Directory of the release.
  type: str
  returned: always
installed:
  description: Whether a part was made in this run.
  type: bool
  returned: always
previous:
  description: What C(current) pointed at before, or an empty string.
  type: str
  returned: always
removed:
  description: Directories of old releases that were removed.
  type: list
  elements: str
  returned: always
"""

import os
import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.lock import LockError, locked
from ansible.module_utils.dynfleet.release import links, manifest, prune
from ansible.module_utils.dynfleet.release.make import Part, ReleaseError, Source, make
from ansible.module_utils.dynfleet.wheels import lock

PARTS = frozenset(("frontend", "worker"))
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def refuse_another_python(module: AnsibleModule) -> None:
    """Fail where the release set has no lock for this host's Python."""
    locks = module.params["locks"]
    for part in module.params["parts"]:
        if not locks or lock.name_of(part, PYTHON) in locks:
            continue
        known = ", ".join(
            sorted(lock.python_of(name) for name in locks if name.startswith(f"{part}-"))
        )
        module.fail_json(
            msg=f"this host's Python is {PYTHON} ({sys.executable}); the {part} part of the "
            f"release is locked for {known or 'none'}. Set ansible_python_interpreter to one of "
            "these, or add a lock file; what is built from source fits the builder's Python, which "
            "has to be that of the hosts"
        )


def refuse_another_lock(module: AnsibleModule, path: Path) -> None:
    """Fail where a part's directory is of another lock than the wheelhouse has under its id."""
    wanted = (module.params["locks"] or {}).get(lock.name_of(path.name, PYTHON))
    have = manifest.read(path)
    if have and wanted and manifest.made_for(path, PYTHON) and have["lock_sha256"] != wanted:
        module.fail_json(
            msg=f"{path} was made of a lock file with sha256 {have['lock_sha256']}, the builder's "
            f"has {wanted}: its wheelhouse was made anew, and what it built came out otherwise. "
            "Nothing was changed. Set dynamo_release_revision to a higher number, which gives the "
            "new wheels an id of their own"
        )


def install(module: AnsibleModule, path: Path) -> None:
    """Make the parts, unless another run just did."""
    params = module.params
    source = Source(
        url=params["url"],
        locks=params["locks"],
        origins=params["origins_sha256"],
        uv_wheel=params["uv_wheel"],
        uv_sha256=params["uv_sha256"],
    )
    with locked(path.parent / ".lock", params["timeout"]) as handle:
        for name, imports in params["parts"].items():
            if not manifest.made_for(path / name, PYTHON):
                part = Part(name, lock.name_of(name, PYTHON), imports)
                make(path / name, source, part, params["timeout"], handle)


def remove(module: AnsibleModule, releases: Path, old: list[Path]) -> None:
    """Remove old releases; none while another run installs one."""
    with locked(releases / ".lock", module.params["timeout"]):
        for path in old:
            prune.remove(path)


def difference(before: list[str], after: list[str]) -> dict[str, str]:
    """What Ansible shows: a line each directory and link that goes, and that comes."""
    texts = ["".join(f"{line}\n" for line in lines) for lines in (before, after)]
    return dict(zip(("before", "after"), texts)) if before or after else {}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "install": {"type": "bool", "default": True},
            "switch": {"type": "bool", "default": True},
            "url": {"type": "str"},
            "locks": {"type": "dict"},
            "origins_sha256": {"type": "str"},
            "uv_wheel": {"type": "str"},
            "uv_sha256": {"type": "str"},
            "parts": {"type": "dict", "required": True},
            "keep": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 3600},
        },
        required_if=[
            ("install", True, ("url", "locks", "origins_sha256", "uv_wheel", "uv_sha256")),
        ],
        supports_check_mode=True,
    )
    params = module.params
    if not params["parts"] or not set(params["parts"]) <= PARTS:
        module.fail_json(
            msg=f"parts = {params['parts']}: wanted is what this host needs of the release, of "
            f"{', '.join(sorted(PARTS))}; the key imports of a release set goes by these names"
        )
    root = Path(params["root"])
    releases = root / "releases"
    path = releases / params["id"]
    # Whatever root's umask: the service's user has to read what is made here.
    os.umask(0o022)
    parts = [path / name for name in params["parts"]]
    missing = [part for part in parts if not manifest.made_for(part, PYTHON)]
    previous = links.target(root / "current")
    switch = params["switch"] and previous != str(path)
    if params["install"]:
        refuse_another_python(module)
        for part in parts:
            refuse_another_lock(module, part)
    elif missing:
        module.fail_json(
            msg=f"{', '.join(map(str, missing))} is not whole for Python {PYTHON}: the release is "
            "not switched to. Install it first (site.yml)"
        )
    linked = (links.target(root / name) for name in links.NAMES)
    protected = {params["id"], *(Path(link).name for link in linked if link)}
    try:
        if missing and not module.check_mode:
            install(module, path)
        if switch and not module.check_mode:
            links.switch(root, path, prune.in_use(releases))
        old = (
            prune.unused(releases, params["keep"], protected, params["parts"])
            if params["keep"]
            else []
        )
        if old and not module.check_mode:
            remove(module, releases, old)
    except (ReleaseError, LockError, OSError) as error:
        module.fail_json(msg=f"release {params['id']}: {error}")
    module.exit_json(
        changed=bool(missing) or switch or bool(old),
        path=str(path),
        installed=bool(missing),
        previous=previous,
        removed=[str(item) for item in old],
        diff=difference(
            [*map(str, old), *([f"{root}/current -> {previous}"] if switch and previous else [])],
            [*map(str, missing), *([f"{root}/current -> {path}"] if switch else [])],
        ),
    )


if __name__ == "__main__":
    main()
