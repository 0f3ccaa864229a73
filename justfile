# The front door: every job is a recipe. `./justw RECIPE` installs what is missing first; `./justw` lists them.

cache := env("PAIRMILL_CACHE", env("XDG_CACHE_HOME", env("HOME") / ".cache") / "pairmill")
export PAIRMILL_CACHE := cache
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")

[private]
default:
    @just --list --unsorted

# A few thousand rows with the web's faults through ingest: account, verification, contact sheet
[group('use')]
demo *ARGS:
    tests/demo.sh {{ ARGS }}

# One page from result rows: `just report results.parquet --out report.html`
[group('use')]
report *ARGS:
    cargo run --release --quiet -p pairmill-analysis -- report {{ ARGS }}

# Build the release binary BIN (pairmill-ingest, pairmill-shards, pairmill-report, pairmill-world) and print its path last
[group('use')]
path BIN:
    @cargo build --release --quiet --bin {{ BIN }} >&2
    @cd "$CARGO_TARGET_DIR/release" && echo "$(pwd -P)/{{ BIN }}"

# All tests of the workspace; ARGS go to the test runner
[group('test')]
test *ARGS:
    cargo build --workspace --bins
    cargo test --workspace --doc --quiet
    if command -v cargo-nextest >/dev/null 2>&1; then cargo nextest run --workspace {{ ARGS }}; else cargo test --workspace --all-targets {{ ARGS }}; fi

# webdataset, open_clip, HF datasets, DALI, Energon and img2dataset over our shards (pinned, in test venvs)
[group('test')]
test-peers *ARGS:
    tests/peers/run.sh {{ ARGS }}

# Fuzz one target of a crate, seeded with its attacks/; without a target, list them (nightly Rust and cargo-fuzz)
[group('test')]
fuzz CRATE="shards" TARGET="" SECONDS="60":
    cd {{ CRATE }} && {{ if TARGET == "" { "cargo +nightly fuzz list" } else { "mkdir -p fuzz/corpus/" + TARGET + " && cargo +nightly fuzz run " + TARGET + " fuzz/corpus/" + TARGET + " attacks -- -max_total_time=" + SECONDS } }}

# img2dataset and Pairmill in turn on one local server: CPU, wall, memory, success rate, pixel quality
[group('bench')]
bench-ingest *ARGS:
    bench/ingest.sh {{ ARGS }}

# Everything that must pass before a change lands
[group('check')]
ci: (fmt "--check") clippy docs deny alone test

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
    cargo check --quiet -p pairmill-pixels
    cargo check --quiet -p pairmill-shards --no-default-features
    cargo check --quiet -p pairmill-shards
    cargo check --quiet -p pairmill-ingest
    cargo check --quiet -p pairmill-analysis
    cargo check --quiet -p pairmill-world
    cargo check --quiet -p pairmill-tests
