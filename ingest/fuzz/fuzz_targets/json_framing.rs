//! Any bytes as a JSON table: no panic, and the rows that serde_json reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(difference) = pairmill_ingest::table::fuzzing::json_framing(bytes) {
        panic!("{difference}");
    }
});
