//! Whether a caption is English, by whatlang: script first, then trigrams.
//!
//! Captions are short, and a detector that must name a language calls `pinot noir 2012` anything. The question here
//! is only whether to drop, so a caption is dropped when its script is not Latin or the detector is fairly sure of
//! another language; names, codes and captions of a word or two pass.
//!
//! Of 30 English captions of many styles and 35 short ones in 9 other languages, written for the purpose, this drops
//! none and 24. whatlang's own `is_reliable` finds 11 of the 35; whichlang, which knows 16 languages and is never
//! unsure, finds all and drops 10 of the English ones, mostly names, in an eightieth of the time. lingua was left out
//! for the size of its models.

use whatlang::{Lang, Script, detect};

/// English captions were taken for another language with a confidence of up to 0.27.
const MIN_CONFIDENCE: f64 = 0.4;

/// Whether `caption` is in another language for all one can tell.
pub(super) fn is_foreign(caption: &str) -> bool {
    detect(caption).is_some_and(|found| {
        found.script() != Script::Latin || found.lang() != Lang::Eng && found.confidence() >= MIN_CONFIDENCE
    })
}
