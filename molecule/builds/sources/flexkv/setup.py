"""Stands in for FlexKV's setup.py: the same flags and layout, setuptools' own compiler calls."""

import os
import subprocess
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext


def flag(name: str) -> bool:
    return os.environ.get(name, "0") == "1"


def version() -> str:
    described = ["git", "describe", "--tags", "--long", "--match", "v*"]
    tag, distance, commit = subprocess.check_output(described, text=True).strip().rsplit("-", 2)
    return tag.lstrip("v") if distance == "0" else f"{tag.lstrip('v')}+git{commit[1:]}"


class BuildExt(build_ext):
    """No version of Python in the extension's name."""

    def get_ext_filename(self, fullname: str) -> str:
        return f"{fullname.replace('.', '/')}.so"


if not flag("FLEXKV_DEBUG"):
    raise SystemExit("Cython was asked for")
libraries = ["cuda", "cudart", "xxhash", "uring"]
macros = [
    ("FLEXKV_GIT_COMMIT", f'"{os.environ["FLEXKV_GIT_COMMIT"][:12]}"'),
    ("CUDA_ARCHS", f'"{os.environ["TORCH_CUDA_ARCH_LIST"]}"'),
]
if flag("FLEXKV_ENABLE_GDS"):
    libraries.append("cufile")
    macros.append(("FLEXKV_ENABLE_GDS", None))
if flag("FLEXKV_ENABLE_METRICS"):
    libraries.append("prometheus-cpp-core")
    macros.append(("FLEXKV_ENABLE_MONITORING", None))
home = Path(os.environ["CUDA_HOME"])
setup(
    name="flexkv",
    version=version(),
    packages=find_packages(),
    package_data={"flexkv": ["*.so", "lib/*.so"]},
    install_requires=Path("requirements.txt").read_text().splitlines(),
    ext_modules=[
        Extension(
            "flexkv.c_ext",
            sources=["csrc/bindings.cpp"],
            include_dirs=[".", str(home / "include")],
            library_dirs=["build/lib", str(home / "lib64")],
            libraries=libraries,
            define_macros=macros,
            extra_link_args=["-Wl,-rpath,build/lib", "-Wl,-rpath,$ORIGIN"],
        )
    ],
    cmdclass={"build_ext": BuildExt},
)
