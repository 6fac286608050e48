#!/bin/sh
# Make Git repositories of the directories beside this file, and of cuda a wheel that stands in for
# torch and CUDA's toolkit. Prints the commits and the wheel's digest as JSON.
set -eu
cd "$(dirname "$0")"
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@localhost GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@localhost
git='git -c protocol.file.allow=always'

commit() { # directory, message
  $git -C "$1" add --all
  $git -C "$1" commit --quiet --message "$2"
}
begin() {
  $git -C "$1" init --quiet --initial-branch=main
  commit "$1" first
}
later() { # a commit that nobody asked for
  find "$1" -name .git -prune -o -type f -name "$2" -exec sed -i "s/$3/what came later/" {} +
  commit "$1" later
}

for name in civetweb xxHash prometheus-cpp flexkv dynamo; do begin $name; done
$git -C prometheus-cpp submodule --quiet add ../civetweb 3rdparty/civetweb
commit prometheus-cpp civetweb
$git -C flexkv tag --annotate --message x v1.2.0
$git -C flexkv submodule --quiet add "file://$PWD/xxHash" third_party/xxHash
$git -C flexkv submodule --quiet add ../prometheus-cpp third_party/prometheus-cpp
commit flexkv submodules
flexkv=$(git -C flexkv rev-parse HEAD)
$git -C dynamo tag --annotate --message x v1.4.2
dynamo=$(git -C dynamo rev-parse HEAD)
later civetweb civetweb.h 'as recorded'
later flexkv bindings.cpp 'as committed'
later dynamo lib.rs wanted

mkdir -p cuda/nvidia/cu13/bin cuda/nvidia/cu13/include cuda/nvidia/cu13/nvvm cuda/nvidia/cu13/lib
printf '#!/bin/sh\necho stand-in\n' >cuda/nvidia/cu13/bin/nvcc
chmod 0755 cuda/nvidia/cu13/bin/nvcc
touch cuda/nvidia/cu13/nvvm/empty
cp cuda/cuda_runtime_api.h cuda/nvidia/cu13/include
echo '#include <cuda_runtime_api.h>' >cuda/nvidia/cu13/include/cufile.h
for library in libcudart.so.13 libcufile.so.0; do
  cc -shared -fPIC -Wl,-soname,$library -o cuda/nvidia/cu13/lib/$library cuda/runtime.c
done
python3 - <<'END'
import zipfile
from pathlib import Path
with zipfile.ZipFile("cuda_stand_in-1.0-py3-none-any.whl", "w") as out:
    for path in sorted(Path("cuda").glob("[nt]*/**/*")):
        if path.is_file():
            out.write(path, path.relative_to("cuda"))
    info = "cuda_stand_in-1.0.dist-info"
    out.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cuda-stand-in\nVersion: 1.0\n")
    out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    out.writestr(f"{info}/RECORD", "")
END

# A compiler that does not work, as a release archive has it.
mkdir rust-broken
printf '#!/bin/sh\nprefix=${1#--prefix=}\nmkdir -p "$prefix/bin"\nprintf "#!/bin/sh\\necho no such instruction >&2; exit 101\\n" >"$prefix/bin/cargo"\nchmod 0755 "$prefix/bin/cargo"\ncp "$prefix/bin/cargo" "$prefix/bin/rustc"\n' >rust-broken/install.sh
chmod 0755 rust-broken/install.sh
tar -cJf rust-broken.tar.xz rust-broken

sum() { sha256sum "$1" | cut -d' ' -f1; }
printf '{"flexkv": "%s", "dynamo": "%s", "wheel": "%s", "rust": "%s"}\n' "$flexkv" "$dynamo" \
  "$(sum cuda_stand_in-1.0-py3-none-any.whl)" "$(sum rust-broken.tar.xz)"
