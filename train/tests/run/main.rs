//! `pairmill-train` as a user runs it: the binary on small shards of the miniature web, on the CPU.

mod bad_input;
mod harness;
mod ranks;
mod resume;
mod tokenize;
