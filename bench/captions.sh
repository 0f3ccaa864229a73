#!/usr/bin/env bash
# captions.sh [OPTIONS of captions.py]: builds the release binary, makes the peers' venv in the cache, runs the bench.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
venv=$cache/peers/captions
pins=$root/bench/captions.txt
if ! cmp -s "$pins" "$venv/.installed"; then
    echo "installing the peers" >&2
    rm -rf "${venv:?}"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$pins"
    cp "$pins" "$venv/.installed"
fi
cd "$root"
echo "building" >&2
cargo build --release --workspace --bin pairmill-report
exec "$venv/bin/python" bench/captions.py --work "$cache/bench" \
    --binary "${CARGO_TARGET_DIR:-$root/target}/release/pairmill-report" "$@"
