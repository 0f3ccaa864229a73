//! Any bytes as a file of result rows, Parquet or TSV: rows or an error, and a TSV reads back as written.
#![no_main]

use libfuzzer_sys::fuzz_target;

// As for `table`: the reader turns the Parquet crate's panics on damaged files into errors.
fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| {
        if let Err(error) = pairmill_shards::hostile::read_results(bytes) {
            assert!(!error.starts_with("own text"), "{error}");
        }
    }
);
