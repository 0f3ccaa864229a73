//! Any bytes as a stats file: an account that survives being written again, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(e) = pairmill_shards::hostile::read_stats(bytes) {
        assert!(!e.starts_with("own text"), "{e}");
    }
});
