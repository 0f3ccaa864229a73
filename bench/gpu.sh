#!/usr/bin/env bash
# gpu.sh STEP_BENCH SHARDS [OUT]: on a machine with a GPU and all of PyTorch 2.11.0, the speed of training steps against
# open_clip: RN50 and ViT-B/32, bf16, batches of 256 and 1024, a fixed batch and fed from shards, eager and compiled.
#
# STEP_BENCH is built elsewhere (`cargo build --release --workspace --example step_bench`) and carried here; it
# finds CUDA beside the libtorch that LD_LIBRARY_PATH names. PYTHON (default python3) must import torch and open_clip.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
torch=$("$python" -c 'import os, torch; assert torch.cuda.is_available(), "torch sees no GPU"; print(os.path.dirname(torch.__file__))')
export LD_LIBRARY_PATH=$torch/lib:$torch/../nvidia/cu13/lib:$torch/../nvidia/cudnn/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
exec "$python" "$here/step.py" --binary "$1" --shards "$2" --device cuda --precision amp_bf16 --batches 256,1024 \
    --steps 30 --runs 3 --compile --fed --out "${3:-$here/$(date +%F)-gpu}"
