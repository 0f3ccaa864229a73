#!/usr/bin/env bash
# demo_transfer.sh [--rows N] [--out FOLDER]
#
# The study in small, offline: a tiny CLIP is pretrained on each of two sources of the miniature web, and both are brought
# to two labelled tasks at 1, 5, 20 and all shots, zero-shot, by linear probe and by fine-tuning. One table comes of it;
# the grid is done a second time, and the numbers are the same.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/start_world.sh
. "$root/tests/start_world.sh"
# shellcheck source=tests/demo_steps.sh
. "$root/tests/demo_steps.sh"
# shellcheck source=tests/tiny_study.sh
. "$root/tests/tiny_study.sh"

rows=3000
out=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}/demo-transfer
while [ $# -gt 0 ]; do
    case $1 in
    --rows) rows=$2 && shift ;;
    --out) out=$2 && shift ;;
    *)
        sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done

say "building (the first time takes some minutes)"
(
    cd "$root"
    cargo build --release --workspace --bin pairmill-ingest --bin pairmill-report --bin pairmill-world
    cargo build --release --workspace --bin pairmill-train
) >&2
binaries=${CARGO_TARGET_DIR:-$root/target}/release

trap cleanup_world EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fresh_folder "$out"

start_world "$binaries/pairmill-world"
for source in shutterstock redcaps; do
    say "a tiny CLIP on $rows rows of $source"
    pretrain "$binaries" "$out" "$source" "$rows"
done

say "two labelled tasks as folders of classes"
make_tasks "$binaries" "$out"

cat >"$out/grid.toml" <<'GRID'
shots = [1, 5, 20, "full"]
methods = ["zero-shot", "linear-probe", "fine-tune"]
seeds = [0, 1, 2]

[tune]
lr = [1e-3]
epochs = [10]
batch_size = [32]

[runtime]
device = "cpu"

[[source]]
name = "Shutterstock"
checkpoint = "runs/shutterstock"

[[source]]
name = "RedCaps"
checkpoint = "runs/redcaps"

[[task]]
kind = "folder"
root = "tasks/backdrops"

[[task]]
kind = "folder"
root = "tasks/colours"
GRID

say "every source on every task"
show "$binaries/pairmill-train" sweep "$out/grid.toml" --out "$out/results"
say "the same grid again, in another folder"
show "$binaries/pairmill-train" sweep "$out/grid.toml" --out "$out/again" --quiet >/dev/null
cmp "$out/results/results.tsv" "$out/again/results.tsv"
printf 'results.tsv of both are the same, byte for byte\n'
say "a report of them"
show "$binaries/pairmill-report" report "$out/results/results.parquet" --out "$out/report.html"
printf '\ntable:  %s\nreport: %s\n' "$out/results/results.tsv" "$out/report.html"
