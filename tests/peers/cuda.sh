#!/usr/bin/env bash
# cuda.sh: the CUDA half of the trainer on a machine without a GPU. Loads libtorch_cuda (over stubs of CUDA's libraries)
# and then the half, every symbol bound at once; holds the trainer's declarations of NCCL against the real header, and
# the functions that both take from NCCL against the real library. Needs a C++ compiler, readelf and 200 MB for NCCL's wheel.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
libtorch=${LIBTORCH:-$cache/libtorch-2.11.0/torch}
shim=$root/train/src/torch/shim
"$here/install.sh" open_clip
stubbed=$("$cache/peers/open_clip/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/torch/lib
# A header and a library; no venv, nothing of it is imported.
if ! cmp -s "$here/nccl.txt" "$cache/peers/nccl/installed"; then
    rm -rf "$cache/peers/nccl"
    "$cache/peers/open_clip/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$cache/peers/nccl" -r "$here/nccl.txt"
    cp "$here/nccl.txt" "$cache/peers/nccl/installed"
fi
real=$cache/peers/nccl/nvidia/nccl
cuda=$libtorch/../nvidia/cu13/include
[ -e "$cuda/cuda_runtime.h" ] || { echo "cuda.sh: no CUDA headers in $cuda" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for header in "$real/include" "$shim/cuda_stub"; do
    c++ -std=c++17 -I "$header" -I "$cuda" -o "$work/layout" "$here/nccl_layout.cpp"
    "$work/layout" >"$work/$(basename "$(dirname "$header")")"
done
diff "$work/nccl" "$work/shim" >&2 || { echo "cuda.sh: cuda_stub/nccl.h is laid out otherwise than the real one" >&2; exit 1; }

cargo build --quiet --manifest-path "$root/Cargo.toml" --workspace --example cuda_half
# The newest, should there be several.
half=$(find "${CARGO_TARGET_DIR:-$root/target}/debug/build" -name libpairmill_cuda.so -size +0 -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
[ -n "$half" ] || { echo "cuda.sh: the CUDA half was not built" >&2; exit 1; }
symbols() { readelf -W --dyn-syms "$1" | awk -v want="$2" '($7 == "UND") == (want == "open") {sub(/@.*/, "", $8); print $8}' | sort -u; }
{ symbols "$half" open; symbols "$libtorch/lib/libtorch_cuda.so" open; } | grep '^nccl' | sort -u >"$work/wanted"
symbols "$real/lib/libnccl.so.2" defined >"$work/defined"
missing=$(comm -23 "$work/wanted" "$work/defined")
[ -z "$missing" ] || { echo "cuda.sh: NCCL has no ${missing//$'\n'/ }" >&2; exit 1; }

loaded=$(LD_LIBRARY_PATH=$stubbed "${CARGO_TARGET_DIR:-$root/target}/debug/examples/cuda_half")
echo "$loaded; NCCL: $(wc -l <"$work/shim") numbers and $(wc -l <"$work/wanted") functions as in 2.28.9"
