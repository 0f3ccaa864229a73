//! Whether a caption is English, by whatlang: script first, then trigrams.
//!
//! Captions are short, and a detector that must name a language calls `pinot noir 2012` anything. The question here
//! is only whether to drop, so a caption is dropped when the detector is sure of another language; names, codes and
//! captions of a word or two pass.

use whatlang::{Lang, detect};

/// Whether the detector is sure that `caption` is not English.
pub(super) fn is_foreign(caption: &str) -> bool {
    detect(caption).is_some_and(|found| found.lang() != Lang::Eng && found.is_reliable())
}
