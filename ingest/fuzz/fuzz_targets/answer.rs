//! Any bytes as the script of what a web server answers: a bounded body or a typed failure, whatever they say.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pairmill_ingest::fetch::hostile::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::new().expect("loopback addresses"));

fuzz_target!(|script: &[u8]| {
    if let Err(problem) = STAGE.play(script) {
        panic!("{problem}");
    }
});
