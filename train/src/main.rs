//! The `pairmill-train` command.

fn main() {}
