#!/usr/bin/env bash
# step.sh [OPTIONS of step.py]: CPU training steps, ours and open_clip's in turn, on pictures of the miniature web.
# open_clip has its venv of tests/peers; both run on the same libtorch.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
"$root/tests/peers/install.sh" open_clip
cd "$root"
echo "building" >&2
cargo build --release --quiet -p pairmill-train --example step_bench
cargo build --release --quiet --bin pairmill-world --bin pairmill-ingest
binaries=${CARGO_TARGET_DIR:-$root/target}/release
# shellcheck source=tests/start_world.sh
. "$root/tests/start_world.sh"
shards=$cache/bench/step-shards
if [ ! -e "$shards/00000_stats.json" ]; then
    trap cleanup_world EXIT
    start_world "$binaries/pairmill-world"
    # shellcheck disable=SC2154 # world_url comes from start_world.sh
    "$binaries/pairmill-world" table --source cc3m --rows 2000 --base-url "$world_url" --out "$cache/bench/step.tsv" --format tsv
    "$binaries/pairmill-ingest" run --url-list "$cache/bench/step.tsv" --input-format tsv --caption-col caption \
        --output-folder "$shards" --output-format webdataset --image-size 256 --resize-mode keep_ratio \
        --number-sample-per-shard 1000 --allow-private-addresses --quiet
fi
"$cache/peers/open_clip/bin/python" bench/step.py --binary "$binaries/examples/step_bench" --shards "$shards" "$@"
