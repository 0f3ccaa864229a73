//! Any text as a caption: no panic, and the cache changes nothing.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pairmill_tokens::Tokenizer;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::new().expect("the tables"));

fuzz_target!(|caption: &str| {
    let mut encoder = TOKENIZER.encoder();
    let (mut cold, mut warm, mut without) = (Vec::new(), Vec::new(), Vec::new());
    encoder.encode(caption, &mut cold);
    encoder.encode(caption, &mut warm);
    TOKENIZER.encode(caption, &mut without);
    assert_eq!(cold, warm);
    assert_eq!(cold, without);
    TOKENIZER.decode(&cold);
});
