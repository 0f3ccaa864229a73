//! The whole way from a caption to ids: clean, split, merge; and the two values that offer it.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::cache::{Key, WordCache};
use crate::clean::clean;
use crate::split::{Piece, split};
use crate::vocabulary::Vocabulary;
use crate::{END, Error, START, Truncation};

/// CLIP's tokenizer. Cloning shares the tables; any number of threads may use one at once.
///
/// For many captions take an [`Encoder`] per thread: it remembers words, and allocates nothing once it is warm.
#[derive(Clone)]
pub struct Tokenizer {
    vocabulary: Arc<Vocabulary>,
    /// What the cache of each new encoder begins with.
    words: Arc<WordCache>,
}

impl std::fmt::Debug for Tokenizer {
    /// Without the tables.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokenizer")
    }
}

impl Tokenizer {
    /// Builds the tables from what the binary carries (some milliseconds, 3 MB).
    ///
    /// # Errors
    /// [`Error::Merges`] if the binary carries no whole table.
    pub fn new() -> Result<Self, Error> {
        let vocabulary = Vocabulary::new()?;
        let words = WordCache::new(&vocabulary);
        Ok(Self { vocabulary: Arc::new(vocabulary), words: Arc::new(words) })
    }

    /// An encoder for one thread.
    pub fn encoder(&self) -> Encoder {
        Encoder { cache: Some((*self.words).clone()), ..self.without_cache() }
    }

    fn without_cache(&self) -> Encoder {
        let vocabulary = self.vocabulary.clone();
        Encoder { vocabulary, cache: None, text: String::new(), ids: Vec::new() }
    }

    /// Appends all ids of a caption, without start and end token and not truncated.
    pub fn encode(&self, caption: &str, out: &mut Vec<u32>) {
        self.without_cache().encode(caption, out);
    }

    /// Fills a row of the batch, of the model's context length: start token, ids, end token, zeros; cut by `truncation` if
    /// that is too much.
    pub fn tokenize_into(&self, caption: &str, truncation: Truncation, out: &mut [i32]) {
        self.without_cache().tokenize_into(caption, truncation, out);
    }

    /// How many ids the caption has, start and end token included and not truncated.
    pub fn count(&self, caption: &str) -> usize {
        self.without_cache().count(caption)
    }

    /// The text of ids, as the reference's `decode`: a space behind each word, U+FFFD for what is no UTF-8, the special
    /// tokens spelt out. Ids outside the vocabulary are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            match id {
                START => bytes.extend(b"<start_of_text>"),
                END => bytes.extend(b"<end_of_text>"),
                0..START if self.vocabulary.decode(id as u16, &mut bytes) => bytes.push(b' '),
                _ => {}
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A [`Tokenizer`] for one thread, with a cache of words of fixed size (two megabytes).
pub struct Encoder {
    vocabulary: Arc<Vocabulary>,
    /// Absent only in the encoders behind the methods of [`Tokenizer`], which see one caption.
    cache: Option<WordCache>,
    /// The cleaned caption.
    text: String,
    ids: Vec<u16>,
}

impl Encoder {
    /// As [`Tokenizer::encode`].
    pub fn encode(&mut self, caption: &str, out: &mut Vec<u32>) {
        self.run(caption, usize::MAX);
        out.extend(self.ids.iter().map(|id| u32::from(*id)));
    }

    /// As [`Tokenizer::tokenize_into`]. Returns whether the caption was truncated.
    pub fn tokenize_into(&mut self, caption: &str, truncation: Truncation, out: &mut [i32]) -> bool {
        // What the row cannot hold need not be encoded.
        self.run(caption, out.len());
        out.fill(0);
        let end = 1 + self.ids.len();
        let truncated = end >= out.len();
        let Some((first, rest)) = out.split_first_mut() else { return truncated };
        *first = START as i32;
        for (place, id) in rest.iter_mut().zip(&self.ids) {
            *place = i32::from(*id);
        }
        if !truncated {
            out[end] = END as i32;
        } else if truncation == Truncation::EndToken
            && let Some(last) = out.last_mut()
        {
            *last = END as i32;
        }
        truncated
    }

    /// As [`Tokenizer::count`].
    pub fn count(&mut self, caption: &str) -> usize {
        self.run(caption, usize::MAX);
        self.ids.len() + 2
    }

    /// Puts the ids of the caption into `self.ids`; stops after the word that makes it `enough`.
    fn run(&mut self, caption: &str, enough: usize) {
        let Self { vocabulary, cache, text, ids } = self;
        clean(caption, text);
        ids.clear();
        split(text, |piece| {
            match piece {
                Piece::Special(id) => ids.push(id),
                Piece::Word(range) => {
                    let word = &text.as_bytes()[range.clone()];
                    match (cache.as_mut(), Key::new(text.as_bytes(), range.start, range.end)) {
                        (Some(cache), Some(key)) => match cache.get(key) {
                            Some(known) => ids.extend_from_slice(known),
                            None => {
                                let before = ids.len();
                                vocabulary.encode_word(word, ids);
                                cache.put(key, &ids[before..]);
                            }
                        },
                        _ => vocabulary.encode_word(word, ids),
                    }
                }
            }
            if ids.len() >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CONTEXT_LENGTH;

    fn ids(caption: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        Tokenizer::new().unwrap().encode(caption, &mut ids);
        ids
    }

    #[test]
    fn known_captions() {
        assert_eq!(ids("A person riding a motorcycle"), [320, 2533, 6765, 320, 10297]);
        assert_eq!(ids("I've seen it!"), [328, 1200, 2041, 585, 256]);
        assert!(ids(" \n ").is_empty());
    }

    #[test]
    fn rows_end_by_the_truncation() {
        let tokenizer = Tokenizer::new().unwrap();
        let mut row = [7; CONTEXT_LENGTH];
        tokenizer.tokenize_into("hello", Truncation::EndToken, &mut row);
        assert_eq!(row[..4], [49406, 3306, 49407, 0]);
        for words in [74, 75, 76, 200] {
            let caption = "a ".repeat(words);
            assert_eq!(tokenizer.count(&caption), words + 2);
            for (truncation, last) in [(Truncation::EndToken, 49407), (Truncation::Cut, 320)] {
                assert_eq!(tokenizer.encoder().tokenize_into(&caption, truncation, &mut row), words > 75);
                let expected = if words > 75 {
                    last
                } else if words == 75 {
                    49407
                } else {
                    0
                };
                assert_eq!(row[CONTEXT_LENGTH - 1], expected, "{words} words, {truncation}");
            }
        }
    }

    #[test]
    fn t14_rows_are_as_long_as_the_model_wants_them() {
        let tokenizer = Tokenizer::new().unwrap();
        let row = |length: usize, truncation| {
            let mut row = vec![7; length];
            let truncated = tokenizer.encoder().tokenize_into("a cat on a mat", truncation, &mut row);
            (row, truncated)
        };
        let words = ids("a cat on a mat").into_iter().map(|id| id as i32);
        let whole: Vec<i32> = [49406].into_iter().chain(words).chain([49407, 0, 0]).collect();
        let (long, truncated) = row(248, Truncation::EndToken);
        assert!(long[..9] == whole && long[9..].iter().all(|id| *id == 0) && !truncated, "{long:?}");
        assert_eq!(row(7, Truncation::EndToken), (whole[..7].to_vec(), false));
        assert_eq!(row(4, Truncation::EndToken), (vec![49406, 320, 2368, 49407], true));
        assert_eq!(row(4, Truncation::Cut), (vec![49406, 320, 2368, 525], true));
        assert_eq!(row(0, Truncation::EndToken), (vec![], true));
    }
}
