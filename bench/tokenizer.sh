#!/usr/bin/env bash
# tokenizer.sh [OPTIONS of tokenizer.py]: builds the release example, makes sure of open_clip's venv, and runs the bench.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
# pyarrow, for the Parquet file of captions, is only in img2dataset's venv.
"$root/tests/peers/install.sh" img2dataset open_clip
cd "$root"
echo "building" >&2
cargo build --release --workspace --example tokenize
binaries=${CARGO_TARGET_DIR:-$root/target}/release
world=${PAIRMILL_WORLD:-$("$root/justw" path pairmill-world | tail -n 1)}
captions=$root/../shared/data/laion_sample_3000.parquet
work=$cache/bench
mkdir -p "$work"
if [ ! -e "$captions" ]; then
    echo "SKIPPED: no $captions, so there are no real captions to measure with" >&2
    exit 0
fi
"$cache/peers/img2dataset/bin/python" -c 'import pyarrow.parquet as pq, sys
with open(sys.argv[2], "w") as file:
    for text in pq.read_table(sys.argv[1]).column("TEXT").to_pylist(): print((text or "").replace("\n", " "), file=file)' \
    "$captions" "$work/real.txt"
for source in laion wit yfcc redcaps cc12m; do
    "$world" table --source "$source" --rows 20000 --base-url http://world.test --format tsv --out "$work/$source.tsv" >/dev/null
done
exec "$cache/peers/open_clip/bin/python" bench/tokenizer.py --work "$work" --tokenize "$binaries/examples/tokenize" "$@"
