"""Tell the extension where its libraries are, from where it lies itself.

As linked it looks in build/lib, seen from the directory that the process happens to run in.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import layout


def main() -> None:
    """Set the path of the extension that was just made."""
    major = layout.runtime(layout.cuda_home())[1]
    paths = ["$ORIGIN/lib", "$ORIGIN/../torch/lib", f"$ORIGIN/../nvidia/cu{major}/lib"]
    found = list(Path("build").glob("lib.*/flexkv/c_ext*.so"))
    if len(found) != 1:
        raise SystemExit(f"wanted is one extension below build, found: {found}")
    subprocess.run(
        ["patchelf", "--set-rpath", ":".join(paths), str(found[0])], check=True, timeout=60
    )
    print(found[0], *paths, sep="\n")


if __name__ == "__main__":
    main()
