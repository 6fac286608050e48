#!/bin/sh
# Make a model of random bytes in a directory, its second revision (another config.json) beside it,
# and a damaged copy of the first: make_model.sh DIRECTORY.
set -eu
mkdir -p "$1/first/sub"
cd "$1"
printf '{"model_type": "llama"}\n' >first/config.json
printf '{}\n' >"first/sub/a name.json"
head -c 20000000 /dev/urandom >first/model-1.safetensors
head -c 4000000 /dev/urandom >first/model-2.safetensors
cp -r first second
printf '{"model_type": "llama", "revision": 2}\n' >second/config.json
cp -r first damaged
printf x | dd of=damaged/model-2.safetensors bs=1 seek=3999999 conv=notrunc status=none
