#!/usr/bin/env bash
# loader.sh [OPTIONS of loader.py]: makes shards of real pictures, builds the release examples, and measures the loader
# beside webdataset + open_clip and, where they install, faster decoders with v2 transforms, datago, DALI and SPDL.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck source=real_shards.sh
. "$root/bench/real_shards.sh"
need_real_pictures
"$root/tests/peers/install.sh" open_clip
# Those that do not install here are left out of the table, which says so.
for peer in decoders dali spdl; do
    "$root/tests/peers/install.sh" "$peer" || echo "loader.sh: $peer does not install here" >&2
done
cd "$root"
echo "building" >&2
cargo build --release --workspace --bin pairmill-ingest --bin pairmill-world
cargo build --release --workspace --example load --example scan
real_shards
# shellcheck disable=SC2154 # real_shards comes from real_shards.sh
python3 bench/loader.py --work "$real_shards" --examples "$target/release/examples" --peers "$cache/peers" "$@"
