//! `convert_weights IN OUT`: a `.pt` or safetensors file of CLIP weights to safetensors in open_clip's names. What
//! `tests/peers/check_weights.py` runs.
#![allow(clippy::print_stderr, reason = "a command")]

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = args.as_slice() else {
        eprintln!("usage: convert_weights IN OUT");
        return ExitCode::from(2);
    };
    match pairmill_train::checkpoint::convert_weights(from, to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
