#!/usr/bin/env bash
# step.sh [OPTIONS of step.py]: CPU training steps, ours and open_clip's in turn, on real pictures and captions.
# open_clip has its venv of tests/peers; both run on the same libtorch.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck source=real_shards.sh
. "$root/bench/real_shards.sh"
need_real_pictures
"$root/tests/peers/install.sh" open_clip
cd "$root"
echo "building" >&2
cargo build --release --workspace --example step_bench
cargo build --release --workspace --bin pairmill-world --bin pairmill-ingest
real_shards
# shellcheck disable=SC2154 # real_shards comes from real_shards.sh
"$cache/peers/open_clip/bin/python" bench/step.py --binary "$target/release/examples/step_bench" --shards "$real_shards/shards-256" "$@"
