#!/usr/bin/env bash
# run.sh [--rows N] [--images FOLDER] [--captions PARQUET] [--keep] [PEER...]
#
# Real input through pairmill-ingest, then every peer over the result: JPEGs served from localhost with web captions, as
# tars and as Parquet shards. Without names, all of: webdataset open_clip tokenizer huggingface dali energon img2dataset
# verify pixels (what the trainer's decoder makes of the pictures, against torchvision over PIL) timm (RandAugment's operations)
# weights tensorboard bucket cuda (the trainer's CUDA half, loaded without a GPU).
# One line per check, a table at the end, exit status 1 if any differs. Work goes to $PAIRMILL_CACHE/peer-work.
# The binaries are built for release, but those that PAIRMILL_INGEST, PAIRMILL_SHARDS and PAIRMILL_WORLD name.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
# shellcheck source=../start_world.sh
. "$root/tests/start_world.sh"

rows=3000
images=$root/../shared/data/imagenet-samples
captions=$root/../shared/data/laion_sample_3000.parquet
keep=
peers=()
while [ $# -gt 0 ]; do
    case $1 in
    --rows) rows=$2 && shift ;;
    --images) images=$2 && shift ;;
    --captions) captions=$2 && shift ;;
    --keep) keep=1 ;;
    -*)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    *) peers+=("$1") ;;
    esac
    shift
done
[ ${#peers[@]} -gt 0 ] || peers=(webdataset open_clip tokenizer huggingface dali energon img2dataset verify pixels timm weights tensorboard bucket cuda)
for input in "$images" "$captions"; do
    if [ ! -e "$input" ]; then
        echo "SKIPPED: no $input; give --images FOLDER and --captions PARQUET (a TEXT column)" >&2
        exit 0
    fi
done

# img2dataset's venv is always needed: its pyarrow writes the table.
venvs=(img2dataset)
for peer in "${peers[@]}"; do
    case $peer in
    # webdataset is tested in both lines: 0.2.86 lives in open_clip's venv.
    webdataset) venvs+=(webdataset open_clip) ;;
    tokenizer | weights) venvs+=(open_clip) ;;
    img2dataset | verify | cuda) ;;
    pixels) venvs+=(open_clip) ;;
    *) venvs+=("$peer") ;;
    esac
done
"$here/install.sh" "${venvs[@]}"
python() { "$cache/peers/$1/bin/python" "${@:2}"; }

release() { "$root/justw" path "$1" | tail -n 1; }
echo "building" >&2
ingest=${PAIRMILL_INGEST:-$(release pairmill-ingest)}
shards=${PAIRMILL_SHARDS:-$(release pairmill-shards)}
world=${PAIRMILL_WORLD:-$(release pairmill-world)}
export PAIRMILL_INGEST=$ingest

work=$cache/peer-work
rm -rf "$work"
mkdir -p "$work"
cleanup() {
    cleanup_world
    [ -n "$keep" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# shellcheck disable=SC2154 # world_url comes from start_world.sh
start_world "$world" --root "$images"
python img2dataset "$here/rows.py" "$images" "$captions" "$world_url/files" "$rows" "$work/rows.parquet"
# img2dataset takes minutes for thousands of rows; four hundred show the same.
python img2dataset "$here/rows.py" "$images" "$captions" "$world_url/files" 400 "$work/few.parquet"

run=(--caption-col caption --save-additional-columns uid --image-size 256
    --resize-mode keep_ratio --number-sample-per-shard $(((rows + 5) / 6)) --allow-private-addresses --quiet)
# ingest_to FORMAT FOLDER
ingest_to() {
    "$ingest" run --url-list "$work/rows.parquet" "${run[@]}" --output-format "$1" --output-folder "$work/$2"
}
ingest_to webdataset tars
ingest_to parquet parquet

results=()
failed=0
# check PEER COMMAND...: the command's last line is what it found, on a difference the last line of its stderr.
check() {
    local line result=equal
    if line=$("${@:2}" 2>"$work/stderr"); then
        line=${line##*$'\n'}
    else
        result=DIFFERS
        failed=1
        line=$(tail -n 1 "$work/stderr")
    fi
    results+=("| $1 | $result | $line |")
    printf '%-12s %-8s %s\n' "$1" "$result" "$line" >&2
}

verify_against_all() {
    "$shards" verify "$work/tars" && "$shards" verify "$work/parquet" || return 1
    for reader in webdataset open-clip hf dali energon; do
        "$shards" verify --against "$reader" "$work/tars" || return 1
    done
    echo "pairmill-shards verify, also --against webdataset, open-clip, hf, dali, energon"
}

# Token ids need no shards: the captions themselves, and those of the world's tables.
compare_tokens() {
    local table tables=()
    cargo build --release --quiet --manifest-path "$root/Cargo.toml" --workspace --example tokenize || return 1
    python img2dataset -c 'import json, pyarrow.parquet as pq, sys
with open(sys.argv[2], "w") as file: json.dump([t or "" for t in pq.read_table(sys.argv[1]).column("TEXT").to_pylist()], file)' \
        "$captions" "$work/captions.json" || return 1
    for source in laion wit yfcc redcaps; do
        table=$work/$source.tsv
        "$world" table --source "$source" --rows 4000 --base-url http://world.test --format tsv --out "$table" >/dev/null || return 1
        tables+=("$table")
    done
    python open_clip "$here/read_tokenizer.py" "$(dirname "$shards")/examples/tokenize" "$work/captions.json" "${tables[@]}"
}

read_pixels() {
    cargo build --release --quiet --manifest-path "$root/Cargo.toml" --workspace --example crop_dump || return 1
    local folders=("$images") odd=$root/../shared/data/odd-sizes
    [ ! -d "$odd" ] || folders+=("$odd")
    python open_clip "$here/read_pixels.py" "${CARGO_TARGET_DIR:-$root/target}/release/examples/crop_dump" "${folders[@]}"
}

read_timm() {
    cargo build --release --quiet --manifest-path "$root/Cargo.toml" --workspace --example augment_dump || return 1
    python timm "$here/read_timm.py" "${CARGO_TARGET_DIR:-$root/target}/release/examples/augment_dump" "$images"
}

# trainer_example NAME: builds an example of the trainer and prints its path.
trainer_example() {
    cargo build --release --quiet --manifest-path "$root/Cargo.toml" --workspace --example "$1" || return 1
    echo "${CARGO_TARGET_DIR:-$root/target}/release/examples/$1"
}

check_weights() {
    local convert
    convert=$(trainer_example convert_weights) || return 1
    python open_clip "$here/check_weights.py" "$work/weights" "$convert"
}

read_tensorboard() {
    local write
    write=$(trainer_example write_log) || return 1
    mkdir -p "$work/log"
    "$write" "$work/log" 2>/dev/null || return 1
    python tensorboard "$here/read_tensorboard.py" "$work/log/tensorboard" "$work/log/metrics.jsonl"
}

for peer in "${peers[@]}"; do
    case $peer in
    tokenizer) check tokenizer compare_tokens ;;
    webdataset)
        check webdataset python webdataset "$here/read_webdataset.py" "$work/tars"
        check webdataset python open_clip "$here/read_webdataset.py" "$work/tars"
        ;;
    open_clip) check open_clip python open_clip "$here/read_open_clip.py" "$work/tars" ;;
    huggingface) check huggingface python huggingface "$here/read_huggingface.py" "$work/tars" "$work/parquet" ;;
    dali) check dali python dali "$here/read_dali.py" "$work/tars" ;;
    energon) check energon python energon "$here/read_energon.py" "$work/tars" ;;
    img2dataset)
        check img2dataset python img2dataset "$here/resume_img2dataset.py" "$work/few.parquet" "$work"
        check img2dataset python img2dataset "$here/compare_img2dataset.py" "$work/few.parquet" "$work"
        ;;
    verify) check verify verify_against_all ;;
    pixels) check pixels read_pixels ;;
    timm) check timm read_timm ;;
    weights) check weights check_weights ;;
    bucket)
        for store in s3 gs az; do
            check "bucket $store" python bucket "$here/read_bucket.py" "$store" "$work/tars" "$work/rows.parquet" \
                "$ingest" "$shards" "${run[@]}" --output-format webdataset
        done
        ;;
    tensorboard) check tensorboard read_tensorboard ;;
    cuda) check cuda "$here/cuda.sh" ;;
    esac
done

printf '\n| peer | result | what was compared |\n|---|---|---|\n'
printf '%s\n' "${results[@]}"
exit "$failed"
