# The front door: every job is a recipe. `./justw RECIPE` installs what is missing first; `./justw` lists them.

cache := env("PAIRMILL_CACHE", env("XDG_CACHE_HOME", env("HOME") / ".cache") / "pairmill")
export PAIRMILL_CACHE := cache
# The same folder as justw installs; torch-sys rebuilds for minutes whenever this changes.
export LIBTORCH := env("LIBTORCH", cache / "libtorch-2.11.0/torch")
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")

# Recipes' arguments reach the shell as "$@", never as text of the command line: `--where "similarity > 0.3"` stays one word.
set positional-arguments := true
export PAIRMILL_ROOT := justfile_directory()

[private]
default:
    @just --list --unsorted

# A few thousand rows with the web's faults through ingest: account, verification, contact sheet; then a tiny CLIP
[group('use')]
[no-cd]
demo *ARGS:
    @"$PAIRMILL_ROOT/tests/demo.sh" "$@"

# Two tiny CLIPs, pretrained on two sources, on two tasks at 1, 5, 20 and all shots: a table, twice the same
[group('use')]
[no-cd]
demo-transfer *ARGS:
    @"$PAIRMILL_ROOT/tests/demo_transfer.sh" "$@"

# Shards of a known SOURCE (`pairmill-ingest sources` lists them and what to download) from INPUT into OUTPUT
[group('use')]
[no-cd]
shards SOURCE INPUT OUTPUT *ARGS:
    @cargo build --manifest-path "$PAIRMILL_ROOT/Cargo.toml" --release --workspace --bin pairmill-ingest
    @source=$1 input=$2 output=$3; shift 3; "$CARGO_TARGET_DIR/release/pairmill-ingest" run --source "$source" --url-list "$input" --output-folder "$output" "$@"

# Train RECIPE (clip-rn50, ...; `pairmill-train list`) on SHARDS into OUT; give it again to go on
[group('use')]
[no-cd]
train RECIPE SHARDS OUT *ARGS:
    @cargo build --manifest-path "$PAIRMILL_ROOT/Cargo.toml" --release --workspace --bin pairmill-train
    @recipe=$1 shards=$2 out=$3; shift 3; "$CARGO_TARGET_DIR/release/pairmill-train" run "$recipe" --data "$shards" --out "$out" "$@"

# Evaluate or fine-tune CHECKPOINT on the labelled dataset TASK (`pairmill-train datasets list`) in DATA; again: goes on
[group('use')]
[no-cd]
transfer CHECKPOINT TASK DATA OUT *ARGS:
    @cargo build --manifest-path "$PAIRMILL_ROOT/Cargo.toml" --release --workspace --bin pairmill-train
    @checkpoint=$1 task=$2 data=$3 out=$4; shift 4; "$CARGO_TARGET_DIR/release/pairmill-train" transfer "$checkpoint" --task "$task" --data "$data" --out "$out" "$@"

# A grid of transfers from a TOML file into OUT; again: goes on
[group('use')]
[no-cd]
sweep GRID OUT *ARGS:
    @cargo build --manifest-path "$PAIRMILL_ROOT/Cargo.toml" --release --workspace --bin pairmill-train
    @grid=$1 out=$2; shift 2; "$CARGO_TARGET_DIR/release/pairmill-train" sweep "$grid" --out "$out" "$@"

# The 80 prompts and 1,000 class names of ImageNet into FOLDER, from the open_clip package (pinned, in a venv in the cache)
[group('use')]
[no-cd]
prompts FOLDER="prompts":
    @"$PAIRMILL_ROOT/tests/peers/prompts.sh" "$1"

# One page from result rows: `./justw report results.parquet --out report.html`
[group('use')]
[no-cd]
report *ARGS:
    @cargo build --manifest-path "$PAIRMILL_ROOT/Cargo.toml" --release --workspace --bin pairmill-report
    @"$CARGO_TARGET_DIR/release/pairmill-report" report "$@"

# Build the release binary BIN (pairmill-ingest, -shards, -train, -report or -world) and print its path last
[group('use')]
path BIN:
    @cargo build --release --workspace --bin "$1" >&2
    @cd "$CARGO_TARGET_DIR/release" && echo "$(pwd -P)/$1"

# All tests of the workspace; ARGS go to the test runner
[group('test')]
test *ARGS:
    cargo build --workspace --bins
    cargo test --workspace --doc --quiet
    if command -v cargo-nextest >/dev/null 2>&1; then cargo nextest run --workspace "$@"; else cargo test --workspace --all-targets "$@"; fi

# The trainer's parity tests as three generations of processors compute: SSE, AVX2, AVX-512 (skipped where missing)
[group('test')]
test-parity:
    tests/parity.sh

# webdataset, open_clip, HF datasets, DALI, Energon and img2dataset over our shards (pinned, in test venvs)
[group('test')]
test-peers *ARGS:
    tests/peers/run.sh "$@"

# The kill matrix: KILLS times SIGKILL at random moments over every command that writes a dataset, then the same bytes
[group('test')]
test-kills KILLS="60" SEED="0":
    cargo build --workspace --bin pairmill-ingest --bin pairmill-shards
    cargo build --workspace --example kills
    "$CARGO_TARGET_DIR/debug/examples/kills" "$1" "$2"

# Test files of Pillow, image-rs and parquet-testing against Pillow and pyarrow (--pillow, --image, --parquet FOLDER: checkouts)
[group('test')]
test-corpora *ARGS:
    tests/corpora/run.sh "$@"

# The trainer's CUDA half loaded without a GPU, and its view of NCCL against the real one (200 MB of NCCL's wheel)
[group('test')]
test-cuda-half:
    tests/peers/cuda.sh

# Fuzz one target of a crate, seeded with its attacks/; without a target, list them (nightly Rust and cargo-fuzz)
[group('test')]
fuzz CRATE="shards" TARGET="" SECONDS="60":
    cd "$1" && if [ -z "$2" ]; then cargo +nightly fuzz list; else mkdir -p "fuzz/corpus/$2" && cargo +nightly fuzz run "$2" "fuzz/corpus/$2" attacks -- -max_total_time="$3"; fi

# img2dataset and Pairmill in turn on one local server: CPU, wall, memory, success rate, pixel quality
[group('bench')]
bench-ingest *ARGS:
    bench/ingest.sh "$@"

# Words of captions: Pairmill, Polars, DuckDB; memory and threads; nouns against NLTK (pinned, in a venv in the cache)
[group('bench')]
bench-captions *ARGS:
    bench/captions.sh "$@"

# Captions to CLIP token ids by open_clip and by Pairmill in one run: CPU per caption on one thread
[group('bench')]
bench-tokenizer *ARGS:
    bench/tokenizer.sh "$@"

# RandAugment's operations by timm over PIL and by Pairmill: CPU per 224 x 224 picture
[group('bench')]
bench-augment *ARGS:
    bench/augment.sh "$@"

# 24 few-shot fine-tunings by one sweep and by a WiSE-FT-style PyTorch loop run by run: CPU, memory, accuracy
[group('bench')]
bench-transfer *ARGS:
    bench/transfer.sh "$@"

# The loader beside webdataset + open_clip, DALI and SPDL, and raw tar scans beside `cat`: CPU seconds per sample
[group('bench')]
bench-loader *ARGS:
    bench/loader.sh "$@"

# Training steps on the CPU, ours and open_clip's in turn on one libtorch (on a GPU machine: bench/gpu.sh)
[group('bench')]
bench-step *ARGS:
    bench/step.sh "$@"

# Everything that must pass before a change lands
[group('check')]
ci: (fmt "--check") clippy docs deny alone test-parity test

# Format the code; `just fmt --check` only looks
[group('check')]
fmt *ARGS:
    cargo fmt --all "$@"

# Lints of every target, warnings denied
[group('check')]
clippy:
    cargo clippy --workspace --all-targets --quiet -- -D warnings

# Documentation, private items too, warnings denied
[group('check')]
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet

# Licences, banned crates and sources of the dependency tree (deny.toml)
[group('check')]
deny:
    if command -v cargo-deny >/dev/null 2>&1; then cargo deny check bans licenses sources; else echo 'SKIPPED: cargo-deny is not installed; deny.toml was NOT checked' >&2; fi

# Known vulnerabilities in the dependency tree; clones the RustSec database, so it needs the network
[group('check')]
advisories:
    cargo deny check advisories

# Each crate by itself, so that none leans on a feature another one switches on
[group('check')]
alone:
    cargo check --quiet -p pairmill-guard
    cargo check --quiet -p pairmill-pixels
    cargo check --quiet -p pairmill-tokens
    cargo check --quiet -p pairmill-shards --no-default-features
    cargo check --quiet -p pairmill-shards --no-default-features --features storage
    cargo check --quiet -p pairmill-shards
    cargo check --quiet -p pairmill-ingest
    cargo check --quiet -p pairmill-loader
    cargo check --quiet -p pairmill-pickle
    cargo check --quiet -p pairmill-datasets
    cargo check --quiet -p pairmill-train
    cargo check --quiet -p pairmill-analysis
    cargo check --quiet -p pairmill-world
    cargo check --quiet -p pairmill-bucket
    cargo check --quiet -p pairmill-tests
