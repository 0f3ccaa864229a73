#!/usr/bin/env bash
# gpu.sh (A|B) SHARDS [OUT [OPTION...]]: what is to be known of a GPU machine, in two calls of at most six minutes each: A
# checks and first speeds, B what A left, the compiled peer and shards as feed. Every run prints one JSON line, also in
# OUT/A.jsonl or OUT/B.jsonl; a run that fails or hangs costs its own time limit and nothing else.
#
# The binaries are built elsewhere and lie in the folder BINARIES (default: gpu-binaries beside this file):
#   cargo build --release --workspace --example step_bench --example device_checks
#   cargo test --release --workspace --test parity --no-run      (the file it names, as `parity`)
# They find CUDA beside the libtorch of PYTHON (default python3), which must import torch, and open_clip for the peer:
# lay wheels of open_clip_torch, ftfy and wcwidth into BINARIES/wheels where the machine has no network.
# OPTIONs are gpu.py's; `--device cpu --models ViT-B-32-quickgelu --batches 4 --steps 1` rehearses everything on a CPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 2 ] || { [ "$1" != A ] && [ "$1" != B ]; }; then
    sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//' >&2
    exit 2
fi
python=${PYTHON:-python3}
binaries=${BINARIES:-$here/gpu-binaries}
if [ -d "$binaries/wheels" ]; then
    packages=$(mktemp -d)
    trap 'rm -rf "$packages"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --target "$packages" "$binaries"/wheels/*.whl >&2 || true
    export PYTHONPATH=$packages${PYTHONPATH:+:$PYTHONPATH}
fi
torch=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
export LD_LIBRARY_PATH=$torch/lib:$torch/../nvidia/cu13/lib:$torch/../nvidia/cudnn/lib:$torch/../nvidia/nccl/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
call=$1
shards=$2
out=${3:-$here/$(date +%F)-gpu}
shift $(($# < 3 ? $# : 3))
"$python" "$here/gpu.py" "$call" --binaries "$binaries" --shards "$shards" --out "$out" "$@"
