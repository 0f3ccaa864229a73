#!/usr/bin/env bash
# augment.sh [OPTIONS of augment.py]: builds the release example, makes sure of timm's venv, and runs the bench.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
"$root/tests/peers/install.sh" timm
cd "$root"
echo "building" >&2
cargo build --release --workspace --example augment_dump
exec "$cache/peers/timm/bin/python" bench/augment.py \
    --dump "${CARGO_TARGET_DIR:-$root/target}/release/examples/augment_dump" "$@"
