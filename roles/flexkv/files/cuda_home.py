"""Lay out a CUDA_HOME of links to the toolkit's wheels, so that no host needs a system CUDA.

The wheels ship libraries by their versioned names only, and no stub of the driver's library. The
stub is for the linker: nothing that runs may find it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import layout


def link_libraries(source: Path, target: Path) -> None:
    """Each library by its own name, and by the one that the linker asks for."""
    target.mkdir()
    for library in sorted(source.iterdir()):
        (target / library.name).symlink_to(library)
        plain = re.sub(r"\.so\.[\d.]+$", ".so", library.name)
        if not (source / plain).exists() and not (target / plain).exists():
            (target / plain).symlink_to(library)


def make_stub(directory: Path) -> None:
    """A library that only has the driver's name."""
    directory.mkdir()
    subprocess.run(
        [
            *("cc", "-shared", "-x", "c", "/dev/null", "-Wl,-soname,libcuda.so.1"),
            *("-o", str(directory / "libcuda.so")),
        ],
        check=True,
        timeout=60,
    )


def main() -> None:
    """Make the directory that CUDA_HOME names."""
    source, home = layout.toolkit(layout.site_packages()), layout.cuda_home()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for name in ("bin", "include", "nvvm"):
        (home / name).symlink_to(source / name)
    link_libraries(source / "lib", home / "lib64")
    make_stub(home / "lib64" / "stubs")
    print(f"{home} is {source}, with {layout.runtime(home)[0]}")


if __name__ == "__main__":
    main()
