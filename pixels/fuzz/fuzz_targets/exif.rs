//! Bytes as the EXIF of an image: the TIFF structure that holds the tags. The body lives in the crate, where the stable
//! tests run it on mutated structures too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(promise) = pairmill_pixels::hostile::exercise_exif(bytes) {
        panic!("{promise}");
    }
});
