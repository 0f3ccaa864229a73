//! The world as its users see it: pictures and tables that never change, tables that read back, a server that serves
//! what the generator makes, and faults that look on the wire as their names say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers outside test functions are test code too")]

mod client;
mod command;
mod determinism;
mod faults;
mod releases;
mod serving;
mod tables;
