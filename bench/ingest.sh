#!/usr/bin/env bash
# ingest.sh [OPTIONS of ingest.py]: builds the release binaries, makes sure of img2dataset's venv, and runs the bench.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
"$root/tests/peers/install.sh" img2dataset
cd "$root"
echo "building" >&2
cargo build --release --workspace --bin pairmill-ingest --bin pairmill-world
cargo build --release --workspace --example codec_time
exec "$cache/peers/img2dataset/bin/python" bench/ingest.py --work "$cache/bench" \
    --binaries "${CARGO_TARGET_DIR:-$root/target}/release" "$@"
