"""A part of a release: a virtual environment of the wheels that a lock names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.module_utils.dynfleet.download import DownloadError, download
from ansible.module_utils.dynfleet.release import manifest
from ansible.module_utils.dynfleet.wheels import lock, origins


class ReleaseError(Exception):
    """The release could not be made; the message says why and what to do."""


@dataclass(frozen=True)
class Source:
    """What a release is made of. url: its directory in the wheelhouse. Digests of files in it:
    locks by name (``worker-py3.12``), origins of origins.json, uv_sha256 of the installer's wheel.
    """

    url: str
    locks: Mapping[str, str]
    origins: str
    uv_wheel: str
    uv_sha256: str


@dataclass(frozen=True)
class Part:
    """What a host needs of a release. lock: name of its lock; imports: modules that have to be
    importable."""

    name: str
    lock: str
    imports: Sequence[str]


def fetch(url: str, sha256: str, target: Path) -> None:
    """Download a file of the wheelhouse, which a proxy of the host's could not reach."""
    try:
        download(url, sha256, target, direct=True)
    except DownloadError as error:
        raise ReleaseError(
            f"{error}. Is dynamo-wheelhouse.service of the builder running, and its port open "
            "from this host?"
        ) from error


def run(argv: Sequence[str], env: Mapping[str, str], timeout: int, handle: int) -> None:
    """Run a step; its output becomes the error."""
    try:
        done = subprocess.run(
            argv,
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            pass_fds=(handle,),
        )
    except subprocess.TimeoutExpired as error:
        raise ReleaseError(f"{' '.join(argv[:4])} ran longer than {timeout} s") from error
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(argv[:4])} failed:\n{(done.stderr or done.stdout)[-3000:]}")


def make(path: Path, source: Source, part: Part, timeout: int, handle: int) -> None:
    """Make the directory of a part; the manifest is its last file.

    timeout: seconds that each step may take. handle: a lock's, which the steps inherit.
    """
    shutil.rmtree(path, ignore_errors=True)
    work = path.parents[1] / f".{path.parent.name}-{path.name}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    path.parent.mkdir(exist_ok=True)
    try:
        uv = str(unpack_uv(work, source))
        fetch(f"{source.url}/{part.lock}.txt", source.locks[part.lock], work / "lock.txt")
        fetch(f"{source.url}/{origins.FILE}", source.origins, work / origins.FILE)
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
        run([uv, "venv", "--python", sys.executable, str(path)], env, timeout, handle)
        interpreter = str(path / "bin" / "python")
        run(
            [
                *(uv, "pip", "install", "--python", interpreter, "--require-hashes", "--no-deps"),
                *("--no-index", "--find-links", f"{source.url}/"),
                *("--requirement", str(work / "lock.txt")),
            ],
            env,
            timeout,
            handle,
        )
        link_cuda_runtime(path)
        # Also compiles what the units import: they may not write into the release.
        loaded = "; ".join(f"import {name}" for name in part.imports)
        run([interpreter, "-c", loaded], {**env, "HF_HUB_OFFLINE": "1"}, timeout, handle)
        shutil.copy(work / "lock.txt", path / "lock.txt")
        # On the disk before the manifest calls it whole: a power cut must not leave a broken one.
        # It also keeps the write-back of gigabytes from stalling etcd later, during a roll.
        run(["sync", "--file-system", str(path)], env, timeout, handle)
        record = json.loads((work / origins.FILE).read_text())
        manifest.write(path, described(record, source, part, (path / "lock.txt").read_text()))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def unpack_uv(work: Path, source: Source) -> Path:
    """The installer's program out of its wheel."""
    fetch(f"{source.url}/{source.uv_wheel}", source.uv_sha256, work / "uv.whl")
    with zipfile.ZipFile(work / "uv.whl") as wheel:
        name = next(n for n in wheel.namelist() if n.endswith(".data/scripts/uv"))
        (work / "uv").write_bytes(wheel.read(name))
    (work / "uv").chmod(0o755)
    return work / "uv"


def described(record: Mapping[str, Any], source: Source, part: Part, text: str) -> dict[str, Any]:
    """The manifest: what this is, of which lock, and of every wheel where it comes from."""
    return {
        "id": record["id"],
        "set": record["set"],
        "part": part.name,
        "python": sys.version.split()[0],
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "source": source.url,
        "lock_sha256": source.locks[part.lock],
        "wheels": origins.installed(record, lock.parsed(text), lock.python_of(part.lock)),
    }


def link_cuda_runtime(path: Path) -> None:
    """Offer libcudart.so under its unversioned name, which FlexKV opens and no wheel ships."""
    for library in path.glob("lib/python*/site-packages/nvidia/cu*/lib/libcudart.so.*"):
        shim = path / "lib" / "cuda"
        shim.mkdir(exist_ok=True)
        (shim / "libcudart.so").symlink_to(library)
        return
