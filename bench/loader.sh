#!/usr/bin/env bash
# loader.sh [OPTIONS of loader.py]: makes shards of real pictures, builds the release examples, and measures the loader
# beside webdataset + open_clip and, where they install, DALI and SPDL.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck source=../tests/start_world.sh
. "$root/tests/start_world.sh"
images=${LOADER_IMAGES:-$root/../shared/data/imagenet-samples}
captions=${LOADER_CAPTIONS:-$root/../shared/data/laion_sample_3000.parquet}
rows=${LOADER_ROWS:-3000}
for input in "$images" "$captions"; do
    if [ ! -e "$input" ]; then
        echo "SKIPPED: no $input; set LOADER_IMAGES to a folder of JPEGs and LOADER_CAPTIONS to a Parquet file (TEXT)" >&2
        exit 0
    fi
done
"$root/tests/peers/install.sh" img2dataset open_clip
# Those that do not install here are left out of the table, which says so.
for peer in dali spdl; do
    "$root/tests/peers/install.sh" "$peer" || echo "loader.sh: $peer does not install here" >&2
done
cd "$root"
echo "building" >&2
cargo build --release --quiet --bin pairmill-ingest --bin pairmill-world
cargo build --release --quiet --example load --example scan

work=$cache/bench-loader
mkdir -p "$work"
trap cleanup_world EXIT
# shellcheck disable=SC2154 # world_url comes from start_world.sh
if [ ! -e "$work/made-$rows" ]; then
    rm -rf "$work"/shards-*
    start_world "$target/release/pairmill-world" --root "$images"
    "$cache/peers/img2dataset/bin/python" tests/peers/rows.py "$images" "$captions" "$world_url/files" "$rows" \
        "$work/rows.parquet"
    ingest_to() {
        "$target/release/pairmill-ingest" run --url-list "$work/rows.parquet" --caption-col caption \
            --output-folder "$work/shards-$1" --output-format webdataset --number-sample-per-shard 500 --allow-private-addresses --quiet "${@:2}"
    }
    ingest_to original --disable-all-reencoding
    ingest_to 256 --image-size 256 --resize-mode keep_ratio
    cleanup_world
    touch "$work/made-$rows"
fi
python3 bench/loader.py --work "$work" --examples "$target/release/examples" --peers "$cache/peers" "$@"
