#!/usr/bin/env bash
# parity.sh: the trainer's comparisons with open_clip, PyTorch, WiSE-FT and scikit-learn, once for each instruction set
# that libtorch, oneDNN and MKL have kernels for. Rounding differs between them, so a bound that holds on one kind of
# processor alone shows itself here. What this processor lacks is skipped, in so many words.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    # Of the whole workspace, as `./justw test` builds it: a crate alone has other features, and arrow is compiled twice.
    if command -v cargo-nextest >/dev/null 2>&1; then
        cargo nextest run --workspace \
            -E 'package(pairmill-train) and (binary(parity) or test(of_torch) or test(probe))'
    else
        cargo test --workspace --test parity
        cargo test --workspace --lib -- of_torch probe
    fi
}

# level NAME CPUFLAG ONEDNN MKL: libtorch's name of the level, the flag that /proc/cpuinfo shows, and the other two
# libraries' names of the same.
level() {
    if [ -n "$2" ] && ! grep -qw "$2" /proc/cpuinfo; then
        echo "SKIPPED: this processor has no $2, so the level $1 was NOT tested" >&2
        return
    fi
    echo "parity with the kernels of level $1" >&2
    ATEN_CPU_CAPABILITY=$1 ONEDNN_MAX_CPU_ISA=$3 MKL_ENABLE_INSTRUCTIONS=$4 run
}

level default '' SSE41 SSE4_2
level avx2 avx2 AVX2 AVX2
level avx512 avx512f AVX512_CORE AVX512
