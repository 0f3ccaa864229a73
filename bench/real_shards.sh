# Sourced by benches: real_shards makes tars of real JPEGs and captions with pairmill-ingest, once, and sets `real_shards`
# to their folder: shards-original (as downloaded) and shards-256 (keep_ratio 256). Wants root, cache and target, and the
# release binaries of pairmill-ingest and pairmill-world. Without the pictures it says so and ends the bench.
# shellcheck shell=bash disable=SC2154

# shellcheck source=../tests/start_world.sh
. "$root/tests/start_world.sh"
bench_images=${LOADER_IMAGES:-$root/../shared/data/imagenet-samples}
bench_captions=${LOADER_CAPTIONS:-$root/../shared/data/laion_sample_3000.parquet}
bench_rows=${LOADER_ROWS:-3000}
real_shards=$cache/bench-loader

# Before anything is built or installed.
need_real_pictures() {
    local input
    for input in "$bench_images" "$bench_captions"; do
        if [ ! -e "$input" ]; then
            echo "SKIPPED: no $input; set LOADER_IMAGES to a folder of JPEGs and LOADER_CAPTIONS to a Parquet file (TEXT)" >&2
            exit 0
        fi
    done
    "$root/tests/peers/install.sh" img2dataset
}

real_shards() {
    mkdir -p "$real_shards"
    [ -e "$real_shards/made-$bench_rows" ] && return
    trap cleanup_world EXIT
    rm -rf "$real_shards"/shards-*
    start_world "$target/release/pairmill-world" --root "$bench_images"
    "$cache/peers/img2dataset/bin/python" "$root/tests/peers/rows.py" "$bench_images" "$bench_captions" "$world_url/files" \
        "$bench_rows" "$real_shards/rows.parquet"
    ingest_to() {
        "$target/release/pairmill-ingest" run --url-list "$real_shards/rows.parquet" --caption-col caption \
            --output-folder "$real_shards/shards-$1" --output-format webdataset --number-sample-per-shard 500 \
            --allow-private-addresses --quiet "${@:2}"
    }
    ingest_to original --disable-all-reencoding
    ingest_to 256 --image-size 256 --resize-mode keep_ratio
    cleanup_world
    touch "$real_shards/made-$bench_rows"
}
