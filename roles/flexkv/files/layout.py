"""Where the build environment has CUDA and torch."""

from __future__ import annotations

import os
import re
import sysconfig
from pathlib import Path


def site_packages() -> Path:
    """The directory that wheels are installed into."""
    return Path(sysconfig.get_path("platlib"))


def toolkit(site: Path) -> Path:
    """The CUDA toolkit that came in wheels (``nvidia/cu13``)."""
    found = sorted(path for path in site.glob("nvidia/cu[0-9]*") if (path / "bin/nvcc").exists())
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise SystemExit(
            f"CUDA's compiler has to be in one place below {site}/nvidia; found: {names}"
        )
    return found[0]


def cuda_home() -> Path:
    """The toolkit that the build uses."""
    return Path(os.environ["CUDA_HOME"])


def runtime(home: Path) -> tuple[str, str]:
    """File name and major version of CUDA's runtime library (``libcudart.so.13``, ``13``)."""
    for directory in ("lib64", "lib"):
        for path in sorted((home / directory).glob("libcudart.so.*")):
            match = re.fullmatch(r"libcudart\.so\.(\d+)", path.name)
            if match:
                return path.name, match.group(1)
    raise SystemExit(f"{home} has no libcudart.so.N in lib64 or lib")
