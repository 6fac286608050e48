"""Look whether Dynamo's wheels are of one version, and whether the native module loads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

MODULE = "dynamo._core"


def load(library: Path) -> None:
    """Load the native module alone: what it is used with comes from other wheels."""
    loader = ExtensionFileLoader(MODULE, str(library))
    spec = spec_from_loader(MODULE, loader)
    assert spec is not None  # noqa: S101 - a loader always gives one
    loader.exec_module(module_from_spec(spec))


def problems(wheels: Path, place: Path, wanted: str) -> list[str]:
    """What is wrong with the wheels. wanted: their version; empty takes any, but one."""
    files = sorted(wheels.glob("ai_dynamo*.whl"))
    versions = {wheel.name: wheel.name.split("-")[1] for wheel in files}
    found = []
    if wanted and set(versions.values()) != {wanted}:
        found.append(f"wanted is version {wanted}, the source has {versions}")
    elif len(set(versions.values())) > 1:
        found.append(f"the two parts differ: {versions}")
    shutil.rmtree(place, ignore_errors=True)
    for wheel in files:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
    libraries = list(place.glob("dynamo/_core*.so"))
    if len(libraries) != 1:
        return [*found, f"wanted is one dynamo/_core*.so in the wheels, there are {libraries}"]
    linked = subprocess.run(
        ["ldd", str(libraries[0])], capture_output=True, text=True, timeout=60, check=True
    )
    missing = re.findall(r"^\s*(\S+) => not found", linked.stdout, re.M)
    if missing:
        return [*found, f"{libraries[0].name} needs {', '.join(missing)}, which is not found"]
    load(libraries[0])
    return found


def main() -> None:
    """Arguments: directory of the wheels, a directory to work in, the wanted version."""
    found = problems(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
