//! Any bytes as a sidecar table: rows or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The reader turns arrow's own panics on damaged tables into errors before libfuzzer's hook hears of them (`guard`); a
// panic that nothing catches still ends the run.
fuzz_target!(|bytes: &[u8]| {
    let _ = pairmill_shards::hostile::read_table(bytes);
});
