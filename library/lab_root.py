#!/usr/bin/python
"""Ansible module: the cached root file system of each Debian suite of the lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_root
short_description: Build the cached root file systems that lab hosts are copies of
description:
  - Builds one root file system a suite with mmdebstrap, several at once, from mmdebstrap's default
    mirror. It holds what a bare server has, and nothing of the product.
  - A root is built under a temporary name and renamed when complete, so that a half-made one is
    never used; what a killed build left is unmounted and removed by the next one.
  - Its name holds a digest of its recipe (packages, settings, the machine's own authorities), so
    that a changed recipe gives a new root.
attributes:
  check_mode:
    description: Says which roots are missing; builds nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  cache_dir:
    description: Directory of the cache; the roots lie in C(roots/) below it.
    type: path
    required: true
  state:
    description: V(absent) removes the whole cache, and refuses while a lab host lives on it.
    type: str
    choices: [present, absent]
    default: present
  suites:
    description: Suites that are needed. Required with V(present).
    type: list
    elements: str
    choices: [bookworm, trixie]
"""

EXAMPLES = r"""
- name: Build the root file systems
  lab_root:
    cache_dir: /var/cache/dynamo-lab
    suites: [bookworm, trixie]

- name: Give the disk space back
  lab_root:
    cache_dir: /var/cache/dynamo-lab
    state: absent
"""

RETURN = r"""
roots:
  description: Directory of each suite's root.
  type: dict
  returned: with O(state=present)
  sample: {bookworm: /var/cache/dynamo-lab/roots/bookworm-0123456789ab}
missing:
  description: Suites whose root was not in the cache.
  type: list
  elements: str
  returned: with O(state=present)
own_certificates:
  description: How many authorities the machine trusts beyond its distribution's; the roots trust
    them too.
  type: int
  returned: with O(state=present)
"""

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import lab as pure
from ansible.module_utils.dynfleet.lab_host_files import BUNDLE
from ansible.module_utils.dynfleet.lab_machine import LabError, lock_directory, unmount_below

SHIPPED = Path("/usr/share/ca-certificates")
ADDED = Path("/usr/local/share/ca-certificates")
BUILD_LIMIT = 1800


def own_certificates() -> dict[str, str]:
    """Authorities that were added to this machine: as files, in the bundle, by SSL_CERT_FILE."""
    bundles = [Path(BUNDLE), Path(os.environ.get("SSL_CERT_FILE") or BUNDLE)]
    trusted = [*sorted(ADDED.rglob("*.crt")), *bundles]
    return pure.extra_certificates(
        [path.read_text(errors="replace") for path in trusted if path.is_file()],
        [path.read_text(errors="replace") for path in SHIPPED.rglob("*.crt")],
    )


def build(suite: str, final: Path, certificates: dict[str, str]) -> None:
    """Build one root. Its directory is locked by a handle that mmdebstrap inherits: a build whose
    parent was killed is waited for, not disturbed."""
    place = final.parent.parent / "building" / suite
    lock = lock_directory(place)
    try:
        if final.is_dir():
            return
        target = place / "root"
        # What a build left that was killed with its lock.
        unmount_below(place)
        for left in place.iterdir():
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=place) as directory:
            for digest, pem in certificates.items():
                (Path(directory) / f"lab-{digest}.crt").write_text(pem)
            done = subprocess.run(
                pure.build_command(suite, str(target)),
                env={**os.environ, "LAB_CERTIFICATES": directory},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                pass_fds=(lock,),
                timeout=BUILD_LIMIT,
                check=False,
            )
        if done.returncode != 0:
            lines = "\n".join(done.stderr.splitlines()[-20:])
            raise LabError(
                f"mmdebstrap could not build {suite}. It needs the distribution's packages: is a "
                f"proxy or mirror to be named (http_proxy)? Its last lines:\n{lines}"
            )
        unmount_below(place)
        target.rename(final)
    finally:
        os.close(lock)


def present(module: AnsibleModule, cache: Path) -> None:
    """Build what is missing."""
    certificates = own_certificates()
    directory = cache / "roots"
    roots = {
        suite: directory / pure.root_name(suite, certificates)
        for suite in sorted(set(module.params["suites"]))
    }
    missing = [suite for suite, root in roots.items() if not root.is_dir()]
    if missing and not module.check_mode:
        directory.mkdir(parents=True, exist_ok=True)
        # Setuid programs lie below: not for the machine's own users.
        directory.chmod(0o700)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda suite: build(suite, roots[suite], certificates), missing))
    module.exit_json(
        changed=bool(missing),
        roots={suite: str(root) for suite, root in roots.items()},
        missing=missing,
        own_certificates=len(certificates),
    )


def absent(module: AnsibleModule, cache: Path) -> None:
    """Remove the cache."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if users := [line.split()[4] for line in mounts if f"lowerdir={cache}/" in line]:
        raise LabError(
            f"{cache} is in use by {', '.join(users)}: take these labs down first, "
            "or leave the cache (lab_purge_cache: false)"
        )
    found = cache.is_dir()
    if found and not module.check_mode:
        unmount_below(cache)
        shutil.rmtree(cache)
    module.exit_json(changed=found)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "cache_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "suites": {
                "type": "list",
                "elements": "str",
                "choices": list(pure.SUITES),
            },
        },
        required_if=[("state", "present", ("suites",))],
        supports_check_mode=True,
    )
    os.umask(0o022)
    act = present if module.params["state"] == "present" else absent
    try:
        act(module, Path(module.params["cache_dir"]))
    except (LabError, subprocess.TimeoutExpired) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
