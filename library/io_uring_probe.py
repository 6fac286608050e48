#!/usr/bin/python
"""Ansible module: whether the SSD tier's I/O works on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: io_uring_probe
short_description: Write and read back through an io_uring on the SSD tier's file systems
description:
  - Reads C(kernel.io_uring_disabled) and the file systems of O(directories), and refuses those
    that are memory, an overlay or on the network.
  - With O(write=true) it then writes 1 MiB past the page cache (O_DIRECT) through an io_uring,
    reads it back and compares, on each file system, as the service user in the sandbox of a worker.
    A directory need not exist: the nearest that does is taken, or where that is not the user's, a
    directory of the trial's own in it, which is removed again.
  - Everything that is wrong is in one report. Every item says what was seen, what is wanted and
    what to do.
attributes:
  check_mode:
    description: Looks and does not write, as with O(write=false).
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  host:
    description: Name of the host, for messages.
    type: str
    required: true
  directories:
    description: Directories of the SSD tier.
    type: list
    elements: path
    required: true
  write:
    description: Write and read back.
    type: bool
    default: true
  sandbox:
    description: The sandbox of a worker, as directives of a unit.
    type: str
    default: ""
  timeout:
    description: Seconds that writing and reading back may take.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Try the file systems of the SSD tier
  io_uring_probe:
    host: "{{ inventory_hostname }}"
    directories: [/nvme0/flexkv/0, /nvme1/flexkv/0]
"""

RETURN = r"""
problems:
  description: What is wrong, each with C(what), C(seen), C(wanted) and C(mend).
  type: list
  elements: dict
  returned: always
file_systems:
  description: For each file system that was looked at its C(mount), C(fstype), C(options) and
    C(devices) (disks).
  type: list
  elements: dict
  returned: always
written:
  description: Whether data was written and read back.
  type: bool
  returned: always
"""

import json
import os
import pwd
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import nofollow, sandboxed
from ansible.module_utils.dynfleet.engine import ring, ssd
from ansible.module_utils.dynfleet.engine.problem import Problem, report
from ansible.module_utils.dynfleet.topology import storage

PYTHON = "/usr/bin/python3"
SHOWN = ("mount", "fstype", "options", "devices")


def nearest(path: str) -> Path:
    """The directory, or the nearest above it that exists."""
    found = Path(path)
    return found if found.is_dir() else nearest(str(found.parent))


@contextmanager
def trial_directories(paths: Iterable[str]) -> Iterator[dict[str, str]]:
    """A directory that the service user writes to near each path; paths by directory.

    One that is the user's already is taken as it is: root makes and hands over nothing in it. Any
    other gets a directory of the user's, removed afterwards. Raises UnsafePath.
    """
    owner = pwd.getpwnam(sandboxed.USER)
    made: dict[str, str] = {}
    with ExitStack() as after:
        for path in paths:
            near = nearest(path)
            handle = after.enter_context(nofollow.opened(near))
            if os.fstat(handle).st_uid == owner.pw_uid:
                made[str(near)] = path
                continue
            name = f".dynfleet-{secrets.token_hex(6)}"
            after.callback(remove, handle, name)
            nofollow.make_at(handle, name, owner.pw_uid, owner.pw_gid)
            made[str(near / name)] = path
        yield made


def remove(handle: int, name: str) -> None:
    """Remove a trial's directory; that it does not go is no verdict about the file system."""
    with suppress(OSError):
        nofollow.remove_tree_at(handle, name)


def attempt(paths: Sequence[str], sandbox: str, seconds: int) -> list[Problem]:
    """Write and read back; what went wrong. Raises SandboxError."""
    with trial_directories(paths) as made:
        done = sandboxed.run(
            ring,
            list(made),
            python=PYTHON,
            sandbox=sandbox,
            extra=[f"ReadWritePaths={folder}" for folder in made],
            seconds=seconds,
        )
        return list(ssd.tried(json.loads(done.stdout), made))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "directories": {"type": "list", "elements": "path", "required": True},
            "write": {"type": "bool", "default": True},
            "sandbox": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    facts = [storage.directory(Path("/"), path) for path in params["directories"]]
    # One directory of each file system is enough.
    mounts = {one["mount"]: one for one in reversed(facts)}
    problems = list(ssd.check(ssd.disabled(), list(mounts.values())))
    write = params["write"] and not module.check_mode and not problems
    if write:
        paths = [one["path"] for one in mounts.values()]
        try:
            problems = attempt(paths, params["sandbox"], params["timeout"])
        except (sandboxed.SandboxError, ValueError, OSError) as error:
            module.fail_json(msg=f"{params['host']}: io_uring could not be tried: {error}")
    result: dict[str, Any] = {
        "changed": False,
        "problems": [asdict(problem) for problem in problems],
        "file_systems": [{key: one.get(key) for key in SHOWN} for one in mounts.values()],
        "written": write,
    }
    if problems:
        outcome = "the SSD tier would not work, and no worker was touched"
        module.fail_json(msg=report(params["host"], problems, outcome), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
