#!/usr/bin/python
"""Ansible module: the wheels of a component, built from Git at a pinned commit."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheel_build
short_description: Build a component's wheels from Git, or find them
description:
  - Builds in C(ROOT/COMPONENT-DIGEST), where the digest is of all that decides the result. A
    directory of that name with a C(build.json) whose wheels are intact is the build, and nothing
    is fetched or run.
  - The stages are C(fetch) (a bare repository is kept, and asked again only for a commit that it
    lacks), C(checkout) with the submodules at their recorded commits, C(patches), C(environment)
    (a virtual environment from O(locks)), the O(steps), and C(wheels), which checks what was made
    and writes C(build.json) last. Each writes C(log/NN-NAME.log). After a failure the next run goes
    on with the stage that failed, in the same work directory.
  - Commands get a scrubbed environment; the host's proxies and certificates are kept. Two runs at
    once on a host wait for each other.
attributes:
  check_mode:
    description: Says what would be built; touches nothing.
    support: full
  diff_mode:
    description: Shows the stages that are pending.
    support: full
options:
  component:
    description: Name of the component.
    type: str
    required: true
  root:
    description: Directory of the builds.
    type: path
    default: /srv/dynamo/builds
  repository:
    description: >-
      Address of the repository, without a user or password. It is not part of the digest. Other
      addresses for it and its submodules, of a mirror within the site, can be set with
      C(url.BASE.insteadOf) in C(/etc/gitconfig).
    type: str
    required: true
  git_user:
    description: User name for the repository's host, with O(git_token).
    type: str
    default: ""
  git_token:
    description: Token or password. It is given to git by a credential helper, for this host only.
    type: str
    default: ""
  commit:
    description: The commit, 40 hexadecimal digits.
    type: str
    required: true
  tag:
    description: Tag that has to be of that commit; empty asks for none. Not part of the digest.
    type: str
    default: ""
  submodules:
    description: Whether to check out submodules too, and theirs.
    type: bool
    default: false
  patches:
    description: Changes to the source, applied in this order.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What to call it.
        type: str
        required: true
      content:
        description: The change as C(git diff) writes it.
        type: str
        required: true
  archives:
    description: Files that steps find as C({archives}/NAME).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: File name.
        type: str
        required: true
      url:
        description: Address.
        type: str
        required: true
      sha256:
        description: Digest.
        type: str
        required: true
  files:
    description: Contents of files that steps find as C({files}/NAME), by name.
    type: dict
    default: {}
  python:
    description: >-
      Interpreter that the environment is made of, or without O(locks) the one that steps use. By
      default that of the module.
    type: str
    default: ""
  locks:
    description: >-
      Requirements with hashes of the environment, by Python version (C(X.Y)). Empty uses
      O(python) as it is.
    type: dict
    default: {}
  steps:
    description: >-
      The component's own stages. All texts may name places - C({source}), C({wheels}) (where wheels
      have to be put), C({python}), C({path}) (with the environment's programs first), C({work}),
      C({files}), C({archives}), C({cache}) (shared by all builds), C({commit}), C({digest}),
      C({jobs}), and C({patched}), which are 8 digits of the patches' digest, or nothing.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the stage.
        type: str
        required: true
      argv:
        description: Command; no shell.
        type: list
        elements: str
        required: true
      env:
        description: More environment.
        type: dict
        default: {}
      chdir:
        description: Directory that it runs in.
        type: str
        default: "{source}"
  toolchain:
    description: Pins of the toolchain that the steps do not show, by name.
    type: dict
    default: {}
  versions:
    description: Commands by name that print their version, which is recorded.
    type: dict
    default: {}
  expected:
    description: >-
      Patterns of the wheels' file names. Each has to match, and no other wheel may be made.
    type: list
    elements: str
    required: true
  salt:
    description: Any text. Another one builds anew.
    type: str
    default: ""
  through:
    description: The last stage to do in this call; by default all.
    type: str
    default: ""
  jobs:
    description: Processes at a time, for C({jobs}); V(0) takes the host's processors.
    type: int
    default: 0
  timeout:
    description: Seconds that a call may take.
    type: int
    default: 14400
"""

EXAMPLES = r"""
- name: Build a wheel
  wheel_build:
    component: example
    repository: https://example.org/example.git
    commit: 5f1d1c2b3a495867f0e1d2c3b4a5968778695a4b
    locks: {"3.13": "{{ lookup('ansible.builtin.file', 'py3.13.txt') }}"}
    steps:
      - name: wheel
        argv: ["{python}", setup.py, bdist_wheel, --dist-dir, "{wheels}"]
        env: {MAX_JOBS: "4"}
    expected: [example-*.whl]
"""

RETURN = r"""
build:
  description: The build; its list of wheels is empty where it is not made yet.
  type: dict
  returned: always
  contains:
    component: {description: Name., type: str}
    digest: {description: Digest of the inputs., type: str}
    directory: {description: Where it is kept., type: str}
    wheels:
      description: "file, path, name, version and sha256 of each wheel."
      type: list
      elements: dict
    origin:
      description: >-
        repository, commit, submodules, patches, archives, python, lock, toolchain, flags and host.
      type: dict
pending:
  description: Stages that are still to do; in check mode those that would be done.
  type: list
  elements: str
  returned: always
done:
  description: Stages that this call did.
  type: list
  elements: str
  returned: always
logs:
  description: Log of each stage.
  type: dict
  returned: always
"""

import os
import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.build import git, python
from ansible.module_utils.dynfleet.build.errors import BuildError
from ansible.module_utils.dynfleet.build.inputs import Archive, Inputs, Patch, Step
from ansible.module_utils.dynfleet.build.make import Build
from ansible.module_utils.dynfleet.lock import LockError

NAMED = {"name": {"type": "str", "required": True}}
ARGUMENTS: dict[str, Any] = {
    "component": {"type": "str", "required": True},
    "root": {"type": "path", "default": "/srv/dynamo/builds"},
    "repository": {"type": "str", "required": True},
    "git_user": {"type": "str", "default": ""},
    "git_token": {"type": "str", "default": "", "no_log": True},
    "commit": {"type": "str", "required": True},
    "tag": {"type": "str", "default": ""},
    "submodules": {"type": "bool", "default": False},
    "patches": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {**NAMED, "content": {"type": "str", "required": True}},
    },
    "archives": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **NAMED,
            "url": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
        },
    },
    "files": {"type": "dict", "default": {}},
    "python": {"type": "str", "default": ""},
    "locks": {"type": "dict", "default": {}},
    "steps": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            **NAMED,
            "argv": {"type": "list", "elements": "str", "required": True},
            "env": {"type": "dict", "default": {}},
            "chdir": {"type": "str", "default": "{source}"},
        },
    },
    "toolchain": {"type": "dict", "default": {}},
    "versions": {"type": "dict", "default": {}},
    "expected": {"type": "list", "elements": "str", "required": True},
    "salt": {"type": "str", "default": ""},
    "through": {"type": "str", "default": ""},
    "jobs": {"type": "int", "default": 0},
    "timeout": {"type": "int", "default": 14400},
}


def text(value: Any) -> str:
    """A value of an environment as a text: YAML has numbers there."""
    return value if isinstance(value, str) else str(value)


def texts(content: dict[str, Any]) -> dict[str, str]:
    """A dictionary of such values."""
    return {name: text(value) for name, value in content.items()}


def plan(params: dict[str, Any]) -> Build:
    """The build that the parameters describe. Raises BuildError."""
    interpreter = params["python"] or sys.executable
    number = python.version(interpreter)
    locks = params["locks"]
    if locks and number not in locks:
        raise BuildError(
            f"its environment is locked for Python {', '.join(sorted(locks))}; {interpreter} is "
            f"{number}. Take a builder that has one of these, or add a lock file"
        )
    inputs = Inputs(
        component=params["component"],
        repository=params["repository"],
        commit=params["commit"],
        python=number,
        steps=[
            Step(item["name"], item["argv"], texts(item["env"]), item["chdir"])
            for item in params["steps"]
        ],
        expected=params["expected"],
        tag=params["tag"],
        submodules=params["submodules"],
        patches=tuple(Patch(**item) for item in params["patches"]),
        archives=tuple(Archive(**item) for item in params["archives"]),
        files=params["files"],
        lock=locks.get(number, ""),
        toolchain=texts(params["toolchain"]),
        salt=params["salt"],
    )
    inputs.check()
    if params["through"] and params["through"] not in inputs.stages():
        raise BuildError(f"there is no stage {params['through']}: {', '.join(inputs.stages())}")
    build = Build(
        inputs=inputs,
        root=Path(params["root"]),
        interpreter=interpreter,
        secret=git.credentials(params["repository"], params["git_user"], params["git_token"]),
        versions=params["versions"],
        timeout=float(params["timeout"]),
        jobs=params["jobs"],
    )
    build.check()
    return build


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    # Whatever root's umask: the wheels are read by others.
    os.umask(0o022)
    component = module.params["component"]
    try:
        build = plan(module.params)
        pending = build.pending()
        done = [] if module.check_mode or not pending else build.run(module.params["through"])
    except (BuildError, LockError) as error:
        module.fail_json(msg=f"{component}: {error}")
    module.exit_json(
        changed=bool(done or (module.check_mode and pending)),
        build=build.result(),
        pending=pending if module.check_mode else build.pending(),
        done=done,
        logs={stage: str(build.log(stage)) for stage in build.inputs.stages()},
        diff={
            "before": "",
            "after": "".join(f"{build.directory}: {stage}\n" for stage in pending),
        },
    )


if __name__ == "__main__":
    main()
