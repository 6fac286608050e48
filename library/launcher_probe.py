#!/usr/bin/python
"""Ansible module: whether the engine can compile what it compiles at its first start."""

from __future__ import annotations

DOCUMENTATION = r"""
module: launcher_probe
short_description: Compile and load a C extension as the service user
description:
  - Triton compiles its launcher when a worker starts for the first time, with the host's C
    compiler and the headers of the release's Python. This does the same with a small extension,
    as the service user, under C(/var/cache/dynamo), in the sandbox of the workers' units, and
    removes it again.
  - Also runs the C(ptxas) that comes with the release's Triton, where there is one, and reads the
    limit of locked memory that a worker gets.
attributes:
  check_mode:
    description: On a host that has no service user or no release yet, looks at nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
options:
  python:
    description: The interpreter; of the release, so that its headers are meant.
    type: path
    required: true
  sandbox:
    description: The sandbox of a worker, as directives of a unit.
    type: str
    required: true
  cuda:
    description: Link with the GPU driver's C(libcuda.so.1), as Triton does.
    type: bool
    required: true
  timeout:
    description: Seconds that all of it may take.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Compile as the engine does
  launcher_probe:
    python: /opt/dynamo/current/worker/bin/python
    sandbox: |
      NoNewPrivileges=yes
      ProtectSystem=strict
    cuda: true
"""

RETURN = r"""
ptxas:
  description: Version of Triton's assembler, empty where there is no Triton.
  type: str
  returned: success
memlock_bytes:
  description: Limit of locked memory of a worker, null for none.
  type: int
  returned: success
skipped_reason:
  description: Why nothing was looked at, in check mode.
  type: str
  returned: when nothing was looked at
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet import sandboxed
from ansible.module_utils.dynfleet.engine import launcher

CACHE = "dynamo/launcher-probe"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "required": True},
            "sandbox": {"type": "str", "required": True},
            "cuda": {"type": "bool", "required": True},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    ready = sandboxed.user_exists() and Path(params["python"]).exists()
    if module.check_mode and not ready:
        module.exit_json(
            changed=False, skipped_reason="the service user or the release is not there yet"
        )
    try:
        done = sandboxed.run(
            launcher,
            [f"/var/cache/{CACHE}", "cuda" if params["cuda"] else "none"],
            python=params["python"],
            sandbox=params["sandbox"],
            extra=[f"CacheDirectory={CACHE}"],
            seconds=params["timeout"],
        )
        seen = json.loads(done.stdout)
    except (sandboxed.SandboxError, ValueError) as error:
        module.fail_json(
            msg=f"the engine's compiler could not be tried with {params['python']}: {error}"
        )
    if seen["error"]:
        module.fail_json(
            msg=f"a worker could not start here: {seen['error']} (as user {sandboxed.USER} it "
            "compiles its launcher with the host's C compiler and the headers of "
            f"{params['python']}, below /var/cache/dynamo)"
        )
    if params["cuda"] and seen["memlock_bytes"] is not None:
        module.fail_json(
            msg=f"a worker gets {seen['memlock_bytes']} bytes of locked memory, wanted is no limit "
            "(KV memory is pinned): systemd itself is limited on this host, in a container give it "
            "CAP_SYS_RESOURCE"
        )
    module.exit_json(changed=False, ptxas=seen["ptxas"], memlock_bytes=seen["memlock_bytes"])


if __name__ == "__main__":
    main()
