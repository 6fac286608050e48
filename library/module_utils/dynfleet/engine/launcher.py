"""A C extension compiled, loaded and called, as Triton does with its launcher at every first start.

Runs by itself, as text given to the release's Python inside a sandbox: standard library only.
Arguments: directory for the extension, `cuda` or `none`. Prints JSON: `error` (empty where all is
well), `ptxas` (its version, or an error) and `memlock_bytes` (null for no limit).
"""

from __future__ import annotations

import importlib.util
import json
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SECONDS = 60
NAME = "dynfleet_launcher"
# Includes and a call of what only the full headers declare.
SOURCE = """#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <stdbool.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_VARARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "dynfleet_launcher", NULL, -1, methods};
PyMODINIT_FUNC PyInit_dynfleet_launcher(void) { return PyModule_Create(&module); }
"""


class CannotBuild(Exception):
    """Why the engine could not build its launcher here."""


def run(*command: str) -> str:
    """Output of a command. Raises CannotBuild with what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(str(error)) from error
    if done.returncode != 0:
        told = [line for line in (done.stderr or done.stdout).splitlines() if "error" in line]
        raise CannotBuild(" ".join((told or [done.stderr])[0].split())[:300])
    return done.stdout


def driver_library() -> list[str]:
    """Arguments that link the driver's library where the loader's cache has it, as Triton asks."""
    for line in run("/sbin/ldconfig", "-p").splitlines():
        if "libcuda.so.1" in line:
            return ["-l:libcuda.so.1", f"-L{Path(line.split()[-1]).parent}"]
    raise CannotBuild(
        "the loader's cache has no libcuda.so.1 (/sbin/ldconfig -p): run ldconfig as root"
    )


def build(folder: Path, cuda: bool) -> None:
    """Compile, load and call the extension. Raises CannotBuild."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CannotBuild("there is no C compiler (gcc or clang)")
    scheme = sysconfig.get_default_scheme()
    # Debian's own scheme names a directory under /usr/local, where no package puts headers.
    scheme = "posix_prefix" if scheme == "posix_local" else scheme
    headers = sysconfig.get_paths(scheme=scheme)["include"]
    if not (Path(headers) / "Python.h").is_file():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise CannotBuild(f"{headers}/Python.h is not there: install python{version}-dev")
    source, library = folder / f"{NAME}.c", folder / f"{NAME}.so"
    source.write_text(SOURCE)
    links = driver_library() if cuda else []
    run(
        *(compiler, str(source), "-O3", "-shared", "-fPIC", "-o", str(library)),
        *(f"-I{headers}", *links),
    )
    spec = importlib.util.spec_from_file_location(NAME, library)
    if spec is None or spec.loader is None:
        raise CannotBuild(f"{library} is no extension")
    try:
        extension = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(extension)
    except ImportError as error:
        raise CannotBuild(f"the compiled extension cannot be loaded: {error}") from error
    if extension.answer() != 42:
        raise CannotBuild("the compiled extension answers wrongly")


def ptxas() -> str:
    """Version of the assembler that comes with Triton's wheel; empty where there is no Triton."""
    found = importlib.util.find_spec("triton")
    if found is None or not found.submodule_search_locations:
        return ""
    program = Path(found.submodule_search_locations[0]) / "backends/nvidia/bin/ptxas"
    release = re.search(r"release ([\d.]+)", run(str(program), "--version"))
    return release.group(1) if release else "unknown"


def main() -> None:
    """Entry point."""
    base, cuda = sys.argv[1:]
    memlock = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    unlimited = memlock == resource.RLIM_INFINITY
    result = {"error": "", "ptxas": "", "memlock_bytes": None if unlimited else memlock}
    try:
        with tempfile.TemporaryDirectory(dir=base) as folder:
            build(Path(folder), cuda == "cuda")
        result["ptxas"] = ptxas()
    except CannotBuild as error:
        result["error"] = str(error)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
