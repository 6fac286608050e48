#!/usr/bin/python
"""Ansible module: one release of the service as an immutable directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Install a release from a wheelhouse and make it current
description:
  - Makes C(ROOT/releases/ID), a virtual environment for the Python that this module runs with,
    from the wheels of a lock file, and points C(ROOT/current) at it.
  - Everything fetched is checked against a digest given here or in the lock file. Nothing is
    compiled and no package index is asked.
  - The directory counts as a release only when its C(manifest.json) is there, which is written
    last, after the O(imports) were seen to work. A half-made directory is removed and made anew;
    the link is never pointed at one. Two runs at once on a host wait for each other.
attributes:
  check_mode:
    description: Says what would be made; touches nothing.
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
  url:
    description: URL of the directory with the wheels and the lock files (C(pyX.Y.txt)).
    type: str
    required: true
  locks:
    description: sha256 of the lock file, by Python version (C(X.Y)).
    type: dict
    required: true
  uv_wheel:
    description: File name of the installer's wheel.
    type: str
    required: true
  uv_sha256:
    description: sha256 of the installer's wheel.
    type: str
    required: true
  imports:
    description: Modules that have to be importable.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that the installation may take.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Install the release
  release:
    id: dynamo-1.4.2-mocker-0123456789
    root: /opt/dynamo
    url: http://10.0.0.11:8080/dynamo-1.4.2-mocker-0123456789
    locks: {"3.12": 5f1d...}
    uv_wheel: uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
    uv_sha256: d7f4...
    imports: [dynamo.frontend.main]
"""

RETURN = r"""
path:
  description: Directory of the release.
  type: str
  returned: always
installed:
  description: Whether the directory was made in this run.
  type: bool
  returned: always
previous:
  description: What C(current) pointed at before, or an empty string.
  type: str
  returned: always
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dynfleet.download import DownloadError, download


class ReleaseError(Exception):
    """The release could not be made; the message says why and what to do."""


def fetch(url: str, sha256: str, target: Path) -> None:
    """Download a file of the wheelhouse, which a proxy of the host's could not reach."""
    try:
        download(url, sha256, target, direct=True)
    except DownloadError as error:
        raise ReleaseError(
            f"{error}. Is dynamo-wheelhouse.service of the builder running, and its port open "
            "from this host?"
        ) from error


@contextmanager
def locked(path: Path, timeout: int) -> Iterator[None]:
    """Hold a lock file: a second run on this host waits for the first, then finds its work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ReleaseError(f"another run has held {path} for {timeout} s") from None
                time.sleep(1)
        yield


def run(argv: list[str], env: dict[str, str], timeout: int) -> None:
    """Run a step; its output becomes the error."""
    try:
        done = subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ReleaseError(f"{' '.join(argv[:4])} ran longer than {timeout} s") from error
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(argv[:4])} failed:\n{(done.stderr or done.stdout)[-3000:]}")


def build(module: AnsibleModule, path: Path, python: str) -> None:
    """Make the release directory; the manifest is its last file."""
    params = module.params
    shutil.rmtree(path, ignore_errors=True)
    work = path.parent / f".{path.name}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        fetch(f"{params['url']}/{params['uv_wheel']}", params["uv_sha256"], work / "uv.whl")
        with zipfile.ZipFile(work / "uv.whl") as wheel:
            name = next(n for n in wheel.namelist() if n.endswith(".data/scripts/uv"))
            (work / "uv").write_bytes(wheel.read(name))
        (work / "uv").chmod(0o755)
        lock = work / "lock.txt"
        fetch(f"{params['url']}/py{python}.txt", params["locks"][python], lock)
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(work),
            "LC_ALL": "C.UTF-8",
            "UV_CACHE_DIR": str(work / "cache"),
            # The cache goes away with the work directory: links instead of second copies.
            "UV_LINK_MODE": "hardlink",
            "UV_NO_CONFIG": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }
        uv = str(work / "uv")
        run([uv, "venv", "--python", sys.executable, str(path)], env, params["timeout"])
        interpreter = str(path / "bin" / "python")
        run(
            [
                *(uv, "pip", "install", "--python", interpreter, "--require-hashes", "--no-deps"),
                *("--no-index", "--find-links", f"{params['url']}/", "--requirement", str(lock)),
            ],
            env,
            params["timeout"],
        )
        link_cuda_runtime(path)
        # Also compiles what the units import: they may not write into the release.
        imports = "; ".join(f"import {name}" for name in params["imports"])
        run([interpreter, "-c", imports], {**env, "HF_HUB_OFFLINE": "1"}, params["timeout"])
        shutil.copy(lock, path / "lock.txt")
        manifest = {
            "id": params["id"],
            "python": sys.version.split()[0],
            "source": params["url"],
            "lock_sha256": params["locks"][python],
        }
        temporary = path / "manifest.json.new"
        with temporary.open("w") as out:
            json.dump(manifest, out, indent=2)
            out.flush()
            os.fsync(out.fileno())
        temporary.rename(path / "manifest.json")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def made_for(path: Path, python: str) -> bool:
    """Whether a directory is a whole release for this Python (``X.Y``)."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except FileNotFoundError:
        return False
    return str(manifest["python"]).startswith(f"{python}.")


def link_cuda_runtime(path: Path) -> None:
    """Offer libcudart.so under its unversioned name, which FlexKV opens and no wheel ships."""
    for library in path.glob("lib/python*/site-packages/nvidia/cu*/lib/libcudart.so.*"):
        shim = path / "lib" / "cuda"
        shim.mkdir(exist_ok=True)
        (shim / "libcudart.so").symlink_to(library)
        return


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "url": {"type": "str", "required": True},
            "locks": {"type": "dict", "required": True},
            "uv_wheel": {"type": "str", "required": True},
            "uv_sha256": {"type": "str", "required": True},
            "imports": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    path = root / "releases" / module.params["id"]
    current = root / "current"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python not in module.params["locks"]:
        known = ", ".join(sorted(module.params["locks"]))
        module.fail_json(
            msg=f"this host's Python is {python} ({sys.executable}); the release set is locked for "
            f"{known}. Set ansible_python_interpreter to one of these, or add a lock file."
        )
    # Whatever root's umask: the service's user has to read what is made here.
    os.umask(0o022)
    missing = not made_for(path, python)
    previous = str(current.readlink()) if current.is_symlink() else ""
    switch = previous != str(path)
    if not module.check_mode:
        try:
            if missing:
                with locked(path.parent / ".lock", module.params["timeout"]):
                    if not made_for(path, python):
                        build(module, path, python)
        except ReleaseError as error:
            module.fail_json(msg=f"release {module.params['id']}: {error}")
        if switch:
            temporary = root / ".current.new"
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(path)
            temporary.replace(current)
    before = f"{current} -> {previous}\n" if previous else ""
    module.exit_json(
        changed=missing or switch,
        path=str(path),
        installed=missing,
        previous=previous,
        diff={"before": before, "after": f"{current} -> {path}\n"} if switch else {},
    )


if __name__ == "__main__":
    main()
