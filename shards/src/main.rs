//! The `pairmill-shards` command; all of it is in [`pairmill_shards::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pairmill_shards::cli::main()
}
