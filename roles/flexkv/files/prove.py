"""Look whether the wheel is what was asked for, as far as a host without a GPU can tell.

It is unpacked beside the environment's torch and CUDA, as in a release, and loaded without any
path set by hand.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import layout

# Provided by the process that loads it: the interpreter, and the driver of a GPU host.
LATER = re.compile(r"_?Py[A-Z_]\w*|_PyRuntime|cu[A-Z]\w*")
LOADED = """
import ctypes, json, os, sys
if sys.argv[1]:
    ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
import flexkv
from flexkv import c_ext
number = ctypes.c_int()
ctypes.CDLL("libcudart.so").cudaRuntimeGetVersion(ctypes.byref(number))
print(json.dumps({"commit": getattr(c_ext, "__git_commit__", ""), "cuda": number.value}))
"""


def output(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What a command prints, errors too."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
        env=env,
        cwd=cwd,
    )
    return done.stdout


def unpack(wheel: Path, place: Path) -> None:
    """Lay out the wheel as it would be installed."""
    shutil.rmtree(place, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    for package in layout.site_packages().iterdir():
        if package.name in ("torch", "nvidia", "numpy"):
            (place / package.name).symlink_to(package)


def problems_of_packing(place: Path, version: str, commit: str) -> list[str]:
    """Files that there should not be, and a name that does not say what it is."""
    found = []
    inside = {str(path.relative_to(place)) for path in place.glob("flexkv/**/*.so*")}
    extra = {name for name in inside if not re.match(r"flexkv/(lib/|c_ext\b)", name)}
    if extra:
        found.append(f"compiled by Cython: {', '.join(sorted(extra)[:3])}")
    if f"+g{commit[:7]}" not in version:
        found.append(f"its version {version} does not name commit {commit[:7]}")
    return found


def problems_of_linking(extension: Path, gds: bool, metrics: bool) -> list[str]:
    """A path that depends on where a process runs, libraries and symbols that are missing."""
    found = []
    dynamic = output("readelf", "--wide", "--dynamic", str(extension))
    paths = re.findall(r"\(R(?:UN)?PATH\).*\[(.*)\]", dynamic)
    for path in [item for line in paths for item in line.split(":")]:
        if path != "$ORIGIN" and not path.startswith("$ORIGIN/"):
            found.append(f"its RUNPATH has '{path}', which is no place in the release")
    linked = output("ldd", "-r", str(extension))
    missing = set(re.findall(r"^\s*(\S+) => not found", linked, re.M)) - {"libcuda.so.1"}
    if missing:
        found.append(f"libraries that are not found: {', '.join(sorted(missing))}")
    undefined = set(re.findall(r"undefined symbol: (\S+)", linked))
    wrong = sorted(name for name in undefined if not LATER.fullmatch(name))
    if wrong:
        found.append(f"{len(wrong)} undefined symbols, such as {', '.join(wrong[:3])}")
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    if any(name.startswith("libcufile.so") for name in needed) != gds:
        found.append(f"FLEXKV_ENABLE_GDS={int(gds)} did not reach it: it needs {', '.join(needed)}")
    if (b"N10prometheus" in extension.read_bytes()) != metrics:
        found.append(f"FLEXKV_ENABLE_METRICS={int(metrics)} did not reach it")
    return found


def driver(extension: Path, place: Path) -> str:
    """What takes the driver's place while the extension is loaded; empty with a driver."""
    try:
        ctypes.CDLL("libcuda.so.1")
        return ""
    except OSError:
        names = re.findall(r"U (cu[A-Z]\w*)", output("nm", "-D", str(extension)))
        source, library = place / "driver.c", place / "driver.so"
        source.write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in set(names)))
        built = [*("cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"), str(source)]
        subprocess.run([*built, "-o", str(library)], check=True, timeout=60)
        return str(library)


def problems_of_loading(extension: Path, place: Path, commit: str) -> list[str]:
    """What an interpreter sees that has nothing but the release."""
    env = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    # Not where the source is: Python looks first where it is started.
    said = output(sys.executable, "-c", LOADED, driver(extension, place), env=env, cwd=place)
    try:
        seen = json.loads(said.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return [f"it cannot be loaded: {said.strip()[-2000:]}"]
    print(seen)
    if not seen["commit"] or not commit.startswith(seen["commit"]):
        return [f"it says that it is commit '{seen['commit']}', wanted is {commit}"]
    return []


def main() -> None:
    """Arguments: directory of the wheel, a directory to work in, the commit."""
    wheels, place, commit = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    wheel = next(iter(sorted(wheels.glob("flexkv-*.whl"))))
    unpack(wheel, place)
    extension = next(place.glob("flexkv/c_ext*.so"))
    flags = [os.environ[f"FLEXKV_ENABLE_{name}"] == "1" for name in ("GDS", "METRICS")]
    found = [
        *problems_of_packing(place, wheel.name.split("-")[1], commit),
        *problems_of_linking(extension, *flags),
        *problems_of_loading(extension, place, commit),
    ]
    if found:
        raise SystemExit("\n".join(f"{wheel.name}: {problem}" for problem in found))


if __name__ == "__main__":
    main()
