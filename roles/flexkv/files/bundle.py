"""Put libraries into the package before it is packed: what is made later is not found.

FlexKV loads libcudart.so by that name, which no wheel ships. The package loads every library in
its lib directory first, so one there of that name, which only leads to the runtime of torch's
CUDA, answers without a path set by hand.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import layout

PACKAGE = Path("flexkv/lib")


def main() -> None:
    """Copy what CMake made, and link the library that leads to CUDA's."""
    PACKAGE.mkdir(exist_ok=True)
    for library in sorted(Path("build/lib").glob("*.so*")):
        shutil.copy2(library, PACKAGE)
        print(library)
    home = layout.cuda_home()
    name, major = layout.runtime(home)
    directory = next(path for path in (home / "lib64", home / "lib") if (path / name).exists())
    subprocess.run(
        [
            *("cc", "-shared", "-x", "c", "/dev/null", "-o", str(PACKAGE / "libcudart.so")),
            *("-Wl,-soname,libcudart.so", "-Wl,--no-as-needed", f"-L{directory}", f"-l:{name}"),
            f"-Wl,-rpath,$ORIGIN/../../nvidia/cu{major}/lib",
        ],
        check=True,
        timeout=60,
    )


if __name__ == "__main__":
    main()
