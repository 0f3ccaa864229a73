#!/usr/bin/env bash
# demo.sh [--rows N] [--faults SHARE] [--out FOLDER]
#
# The main jobs on the miniature web, offline: a LAION table of a few thousand rows, a fifth of them faulty, becomes
# shards; then the account of every row, a check of every rule of the format, and a contact sheet to look at. Then the
# trainer is built (and libtorch installed), and a tiny CLIP is trained for about a minute on another source and tells
# colours it was never told to tell apart. Where libtorch is not to be had, the demo ends before that and says so.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/start_world.sh
. "$root/tests/start_world.sh"
# shellcheck source=tests/demo_steps.sh
. "$root/tests/demo_steps.sh"

rows=4000
train_rows=4000
faults=0.2
out=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}/demo
while [ $# -gt 0 ]; do
    case $1 in
    --rows) rows=$2 && shift ;;
    --faults) faults=$2 && shift ;;
    --out) out=$2 && shift ;;
    *)
        sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done

say "building (the first time takes some minutes)"
(
    cd "$root"
    cargo build --release --workspace --bin pairmill-ingest --bin pairmill-shards --bin pairmill-world
) >&2
binaries=${CARGO_TARGET_DIR:-$root/target}/release

trap cleanup_world EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fresh_folder "$out"

say "a web of one seed, and a LAION table of $rows of its pictures, a share of $faults of them faulty"
start_world "$binaries/pairmill-world"
show "$binaries/pairmill-world" table --source laion --rows "$rows" --faults "$faults" --base-url "$world_url" \
    --expect "$out/expected.json" --out "$out/laion.parquet"

say "rows to shards"
show "$binaries/pairmill-ingest" run --url-list "$out/laion.parquet" --url-col URL --caption-col TEXT \
    --output-folder "$out/shards" --output-format webdataset --image-size 256 --resize-mode keep_ratio \
    --number-sample-per-shard 1000 --timeout 5 --allow-private-addresses

say "the account: rows = successes + failures by class"
show "$binaries/pairmill-shards" stat "$out/shards"

say "every rule of the format"
show "$binaries/pairmill-shards" verify "$out/shards"

say "what the samples look like"
show "$binaries/pairmill-shards" contact-sheet "$out/shards" --out "$out/contact-sheet.html"

results() { printf '\nshards:        %s\ncontact sheet: %s\n' "$out/shards" "$out/contact-sheet.html"; }
if ! "$root/justw" has-libtorch; then
    say "the training half is left out: there is no libtorch for this machine (set LIBTORCH to the torch folder of a PyTorch)"
    results
    exit 0
fi
say "building the trainer (the first time takes some minutes more)"
"$root/justw" path pairmill-train >/dev/null

say "a stock-photo source of $train_rows rows, small, for training; a labelled task to test on"
show "$binaries/pairmill-world" table --source shutterstock --rows "$train_rows" --base-url "$world_url" \
    --format tsv --out "$out/stock.tsv"
show "$binaries/pairmill-ingest" run --url-list "$out/stock.tsv" --input-format tsv --caption-col caption \
    --output-folder "$out/stock" --output-format webdataset --image-size 80 --resize-mode keep_ratio \
    --number-sample-per-shard 1000 --allow-private-addresses --quiet
show "$binaries/pairmill-world" task --task colours --split test --per-class 30 --shard --out "$out/tasks"

say "a tiny CLIP, from nothing, on the CPU"
show "$binaries/pairmill-train" run clip-rn-tiny --data "$out/stock" --out "$out/run" --device cpu \
    --zero-shot "$out/tasks/colours.toml"
show "$binaries/pairmill-train" curve "$out/run" --out "$out/loss.svg"
show "$binaries/pairmill-train" evaluate "$out/run" --zero-shot "$out/tasks/colours.toml" --device cpu
printf '(12 colours: chance is 0.083)\n'
results
printf 'model:         %s\nloss curve:    %s\n' "$out/run" "$out/loss.svg"
