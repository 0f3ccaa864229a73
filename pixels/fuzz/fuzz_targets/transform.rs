//! `probe` and `Transformer::transform` on arbitrary bytes; the body lives in the crate, where the stable tests run it
//! on mutated files too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(promise) = pairmill_pixels::hostile::exercise(bytes) {
        panic!("{promise}");
    }
});
