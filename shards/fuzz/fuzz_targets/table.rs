//! Any bytes as a sidecar table: rows or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = pairmill_shards::hostile::read_table(bytes);
});
