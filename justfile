# The front door: every job is a recipe. `./justw RECIPE` installs what is missing first; `./justw` lists them.

cache := env("PAIRMILL_CACHE", env("XDG_CACHE_HOME", env("HOME") / ".cache") / "pairmill")
export PAIRMILL_CACHE := cache
# The same folder as justw installs; torch-sys rebuilds for minutes whenever this changes.
export LIBTORCH := env("LIBTORCH", cache / "libtorch-2.11.0/torch")
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")

[private]
default:
    @just --list --unsorted

# A few thousand rows with the web's faults through ingest: account, verification, contact sheet
[group('use')]
demo *ARGS:
    tests/demo.sh {{ ARGS }}

# Two tiny CLIPs, pretrained on two sources, on two tasks at 1, 5, 20 and all shots: a table, twice the same
[group('use')]
demo-transfer *ARGS:
    tests/demo_transfer.sh {{ ARGS }}

# Shards of a known SOURCE (`pairmill-ingest sources` lists them and what to download) from INPUT into OUTPUT
[group('use')]
shards SOURCE INPUT OUTPUT *ARGS:
    cargo build --release --quiet --bin pairmill-ingest
    "$CARGO_TARGET_DIR/release/pairmill-ingest" run --source {{ quote(SOURCE) }} --url-list {{ quote(INPUT) }} --output-folder {{ quote(OUTPUT) }} {{ ARGS }}

# Train RECIPE (clip-rn50, ...; `pairmill-train list`) on SHARDS into OUT; give it again to go on
[group('use')]
train RECIPE SHARDS OUT *ARGS:
    cargo build --release --quiet -p pairmill-train
    "$CARGO_TARGET_DIR/release/pairmill-train" run {{ RECIPE }} --data {{ quote(SHARDS) }} --out {{ quote(OUT) }} {{ ARGS }}

# Bring CHECKPOINT to the labelled dataset TASK (`pairmill-train datasets list`) in DATA; again: goes on
[group('use')]
transfer CHECKPOINT TASK DATA OUT *ARGS:
    cargo build --release --quiet -p pairmill-train
    "$CARGO_TARGET_DIR/release/pairmill-train" transfer {{ quote(CHECKPOINT) }} --task {{ quote(TASK) }} --data {{ quote(DATA) }} --out {{ quote(OUT) }} {{ ARGS }}

# A grid of transfers from a TOML file into OUT; again: goes on
[group('use')]
sweep GRID OUT *ARGS:
    cargo build --release --quiet -p pairmill-train
    "$CARGO_TARGET_DIR/release/pairmill-train" sweep {{ quote(GRID) }} --out {{ quote(OUT) }} {{ ARGS }}

# The 80 prompts and 1,000 class names of ImageNet into FOLDER, from the open_clip package (pinned, in a venv in the cache)
[group('use')]
prompts FOLDER="prompts":
    tests/peers/prompts.sh {{ quote(FOLDER) }}

# One page from result rows: `just report results.parquet --out report.html`
[group('use')]
report *ARGS:
    cargo run --release --quiet --bin pairmill-report -- report {{ ARGS }}

# Build the release binary BIN (pairmill-ingest, -shards, -train, -report or -world) and print its path last
[group('use')]
path BIN:
    @cargo build --release --quiet {{ if BIN == "pairmill-train" { "-p pairmill-train" } else { "--bin " + BIN } }} >&2
    @cd "$CARGO_TARGET_DIR/release" && echo "$(pwd -P)/{{ BIN }}"

# All tests of the workspace; ARGS go to the test runner
[group('test')]
test *ARGS:
    cargo build --workspace --bins
    cargo test --workspace --doc --quiet
    if command -v cargo-nextest >/dev/null 2>&1; then cargo nextest run --workspace {{ ARGS }}; else cargo test --workspace --all-targets {{ ARGS }}; fi

# The trainer's parity tests as three generations of processors compute: SSE, AVX2, AVX-512 (skipped where missing)
[group('test')]
test-parity:
    tests/parity.sh

# webdataset, open_clip, HF datasets, DALI, Energon and img2dataset over our shards (pinned, in test venvs)
[group('test')]
test-peers *ARGS:
    tests/peers/run.sh {{ ARGS }}

# The kill matrix: KILLS times SIGKILL at random moments over every command that writes a dataset, then the same bytes
[group('test')]
test-kills KILLS="60" SEED="0":
    cargo build -p pairmill-ingest -p pairmill-shards --bins
    cargo run --quiet -p pairmill-tests --example kills -- {{ KILLS }} {{ SEED }}

# Test files of Pillow, image-rs and parquet-testing against Pillow and pyarrow (--pillow, --image, --parquet FOLDER: checkouts)
[group('test')]
test-corpora *ARGS:
    tests/corpora/run.sh {{ ARGS }}

# The trainer's CUDA half loaded without a GPU, and its view of NCCL against the real one (200 MB of NCCL's wheel)
[group('test')]
test-cuda-half:
    tests/peers/cuda.sh

# Fuzz one target of a crate, seeded with its attacks/; without a target, list them (nightly Rust and cargo-fuzz)
[group('test')]
fuzz CRATE="shards" TARGET="" SECONDS="60":
    cd {{ CRATE }} && {{ if TARGET == "" { "cargo +nightly fuzz list" } else { "mkdir -p fuzz/corpus/" + TARGET + " && cargo +nightly fuzz run " + TARGET + " fuzz/corpus/" + TARGET + " attacks -- -max_total_time=" + SECONDS } }}

# img2dataset and Pairmill in turn on one local server: CPU, wall, memory, success rate, pixel quality
[group('bench')]
bench-ingest *ARGS:
    bench/ingest.sh {{ ARGS }}

# Words of captions: Pairmill, Polars, DuckDB; memory and threads; nouns against NLTK (pinned, in a venv in the cache)
[group('bench')]
bench-captions *ARGS:
    bench/captions.sh {{ ARGS }}

# Captions to CLIP token ids by open_clip and by Pairmill in one run: CPU per caption on one thread
[group('bench')]
bench-tokenizer *ARGS:
    bench/tokenizer.sh {{ ARGS }}

# RandAugment's operations by timm over PIL and by Pairmill: CPU per 224 x 224 picture
[group('bench')]
bench-augment *ARGS:
    bench/augment.sh {{ ARGS }}

# 24 few-shot fine-tunings by one sweep and by a WiSE-FT-style PyTorch loop run by run: CPU, memory, accuracy
[group('bench')]
bench-transfer *ARGS:
    bench/transfer.sh {{ ARGS }}

# The loader beside webdataset + open_clip, DALI and SPDL, and raw tar scans beside `cat`: CPU seconds per sample
[group('bench')]
bench-loader *ARGS:
    bench/loader.sh {{ ARGS }}

# Training steps on the CPU, ours and open_clip's in turn on one libtorch (on a GPU machine: bench/gpu.sh)
[group('bench')]
bench-step *ARGS:
    bench/step.sh {{ ARGS }}

# Everything that must pass before a change lands
[group('check')]
ci: (fmt "--check") clippy docs deny alone test-parity test

# Format the code; `just fmt --check` only looks
[group('check')]
fmt *ARGS:
    cargo fmt --all {{ ARGS }}

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
    cargo check --quiet -p pairmill-train
    cargo check --quiet -p pairmill-analysis
    cargo check --quiet -p pairmill-world
    cargo check --quiet -p pairmill-bucket
    cargo check --quiet -p pairmill-tests
