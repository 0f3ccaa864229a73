//! Properties of any caption: no panic, the cache changes nothing, ids decode to what they came from.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::LazyLock;

use pairmill_tokens::{CONTEXT_LENGTH, END, START, Tokenizer, Truncation};
use proptest::prelude::*;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::new().unwrap());

/// Pieces that reach the rules of the cleaning, among any characters.
fn caption() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => "\\PC{0,8}",
        2 => "[a-zA-Z]{1,12}",
        1 => ".",
        1 => "[\u{80}-\u{ff}]{1,6}",
        1 => "[ÂÃâ€ÐÑØÙ√‚вГΒ┬¬†™œ\u{a0} a.]{1,6}",
        1 => "&#?[0-9a-zA-Z]{0,8};?",
        1 => "[ \t\r\n\u{b}\u{c}\u{1b}\\[;1m<>'\u{345}ſ]{1,6}",
    ];
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_cache_changes_nothing(captions in prop::collection::vec(caption(), 1..6)) {
        let mut encoder = TOKENIZER.encoder();
        for caption in captions.iter().chain(&captions) {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            encoder.encode(caption, &mut with);
            TOKENIZER.encode(caption, &mut without);
            prop_assert_eq!(&with, &without);
            prop_assert!(with.iter().all(|id| *id <= END));
            prop_assert_eq!(TOKENIZER.count(caption), with.len() + 2);
        }
    }

    #[test]
    fn a_row_is_the_beginning_of_the_ids(caption in caption(), repeats in 1_usize..30) {
        let caption = caption.repeat(repeats);
        let mut ids = vec![START];
        TOKENIZER.encode(&caption, &mut ids);
        ids.push(END);
        for truncation in [Truncation::EndToken, Truncation::Cut] {
            let mut row = [-1; CONTEXT_LENGTH];
            TOKENIZER.tokenize_into(&caption, truncation, &mut row);
            let mut expected: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
            expected.resize(expected.len().max(CONTEXT_LENGTH), 0);
            expected.truncate(CONTEXT_LENGTH);
            if ids.len() > CONTEXT_LENGTH && truncation == Truncation::EndToken {
                expected[CONTEXT_LENGTH - 1] = END as i32;
            }
            prop_assert_eq!(&row[..], &expected[..]);
        }
    }

    #[test]
    fn plain_words_come_back(words in prop::collection::vec("[a-z]{1,20}|[0-9]|東京|é{1,3}", 0..20)) {
        let mut ids = Vec::new();
        TOKENIZER.encode(&words.join(" "), &mut ids);
        let back: String = words.iter().map(|word| format!("{word} ")).collect();
        prop_assert_eq!(TOKENIZER.decode(&ids), back);
    }
}
