//! Any bytes as a sidecar table: rows or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The reader turns arrow's own panics on damaged tables into errors; libfuzzer's hook would abort before it can. A
// panic that nothing catches still ends the run.
fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| {
        let _ = pairmill_shards::hostile::read_table(bytes);
    }
);
