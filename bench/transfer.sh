#!/usr/bin/env bash
# transfer.sh [OPTIONS of transfer.py]: two tiny CLIPs and two labelled tasks of the miniature web (made once, in the cache),
# then a grid of few-shot runs by one sweep and, run by run, by a WiSE-FT-style PyTorch loop in open_clip's venv.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
"$root/tests/peers/install.sh" open_clip
cd "$root"
echo "building" >&2
cargo build --release --workspace --bin pairmill-ingest --bin pairmill-world
cargo build --release --workspace --bin pairmill-train
binaries=${CARGO_TARGET_DIR:-$root/target}/release
# shellcheck source=tests/start_world.sh
. "$root/tests/start_world.sh"
# shellcheck source=tests/demo_steps.sh
. "$root/tests/demo_steps.sh"
# shellcheck source=tests/tiny_study.sh
. "$root/tests/tiny_study.sh"
work=$cache/bench/transfer
if [ ! -e "$work/made" ]; then
    rm -rf "$work"
    mkdir -p "$work"
    trap cleanup_world EXIT
    start_world "$binaries/pairmill-world"
    for source in shutterstock redcaps; do pretrain "$binaries" "$work" "$source" 3000; done
    make_tasks "$binaries" "$work"
    : >"$work/made"
fi
"$cache/peers/open_clip/bin/python" bench/transfer.py --binary "$binaries/pairmill-train" --work "$work" "$@"
