"""Give the build its version: base, commit, patches, torch and CUDA.

FlexKV takes its version from the nearest tag that begins with v. So this sets one, in the source
of this build alone: v1.2.0+g34ab141.torch2.11.cu13 for commit 34ab141 after v1.2.0. A wheel fits
only the minor version of torch that it was made with, and its own tags do not say so.
"""

from __future__ import annotations

import re
import subprocess
import sys

import layout


def git(*command: str) -> str:
    """What git prints; empty where it fails."""
    done = subprocess.run(
        ["git", *command], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.strip()


def version(described: str, commit: str, patched: str, torch: str, cuda: str) -> str:
    """A version by PEP 440, with the rest as its local part.

    described: the nearest tag. patched: digits of the patches' digest, or empty.
    """
    base = re.match(r"v(\d+(?:\.\d+)*)", described)
    torch_minor = ".".join(torch.split("+", maxsplit=1)[0].split(".")[:2])
    local = [f"g{commit[:7]}", *([f"p{patched}"] if patched else [])]
    local += [f"torch{torch_minor}", f"cu{cuda}"]
    return f"{base.group(1) if base else '0.0.0'}+{'.'.join(local)}"


def main() -> None:
    """Set the tag; arguments are the commit and the patches' digits."""
    import torch  # noqa: PLC0415 - takes seconds, and only this needs it

    commit, patched = sys.argv[1:]
    major = layout.runtime(layout.cuda_home())[1]
    if torch.version.cuda is None or torch.version.cuda.split(".")[0] != major:
        raise SystemExit(
            f"torch {torch.__version__} is for CUDA {torch.version.cuda}, the toolkit is CUDA "
            f"{major}: lock torch and cuda-toolkit for the same"
        )
    described = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    found = version(described, commit, patched, torch.__version__, major)
    subprocess.run(
        ["git", "tag", "--force", "--annotate", "--message", "This build", f"v{found}"],
        check=True,
        timeout=60,
    )
    print(found)


if __name__ == "__main__":
    main()
