//! Any bytes as a tar: no panic, and the streaming and the mapped reader agree.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(disagreement) = pairmill_shards::tar::check_readers_agree(bytes) {
        panic!("{disagreement}");
    }
});
