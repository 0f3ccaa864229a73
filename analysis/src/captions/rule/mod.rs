//! What a word is. A rule cuts a caption into words; everything that is counted by words goes through one.

mod letters;
mod nouns;
mod stop_words;

pub use letters::{Letters, lower_case};
pub use nouns::Nouns;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

/// The words of one caption: parts of one buffer. Made once, used for every caption.
#[derive(Debug, Default)]
pub struct Words {
    /// The words and perhaps bytes between and behind them; whole characters from the start to the end of a word.
    buffer: Vec<u8>,
    spans: Vec<(usize, usize)>,
}

impl Words {
    fn clear(&mut self) {
        self.buffer.clear();
        self.spans.clear();
    }

    fn push(&mut self, word: &str) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(word.as_bytes());
        self.spans.push((start, self.buffer.len()));
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The bytes that [`spans`](Self::spans) point into.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Start and end of each word.
    pub fn spans(&self) -> &[(usize, usize)] {
        &self.spans
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|&(start, end)| {
            let bytes = self.buffer.get(start..end).unwrap_or_default();
            std::str::from_utf8(bytes).unwrap_or_default()
        })
    }
}

/// A rule as the user names it. Displays as typed.
#[derive(Debug, Clone)]
pub enum WordRule {
    /// The caption in lower case (full Unicode mapping), then runs of letters (`\p{L}`).
    Letters,
    /// Words by Unicode's boundaries (UAX #29), in lower case, without English stop words.
    Words,
    /// Common nouns by a part-of-speech tagger, in the singular, without `person`: the study's Table 3 as far as its
    /// lists tell.
    Nouns,
    /// What an expression matches in the caption as it stands.
    Regex(Regex),
}

impl fmt::Display for WordRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letters => f.write_str("letters"),
            Self::Words => f.write_str("words"),
            Self::Nouns => f.write_str("nouns"),
            Self::Regex(regex) => write!(f, "regex:{regex}"),
        }
    }
}

impl FromStr for WordRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "letters" => Ok(Self::Letters),
            "words" => Ok(Self::Words),
            "nouns" => Ok(Self::Nouns),
            _ => match text.strip_prefix("regex:") {
                Some(pattern) => Regex::new(pattern)
                    .map(Self::Regex)
                    // The last line of the parser's message says what is wrong; those above draw an arrow.
                    .map_err(|e| e.to_string().lines().last().unwrap_or_default().trim().to_owned()),
                None => Err("a rule is letters, words, nouns or regex:EXPRESSION".to_owned()),
            },
        }
    }
}

/// A rule at work, with the memory it keeps from caption to caption. One for each thread.
#[derive(Debug)]
pub enum Splitter {
    /// See [`WordRule::Letters`].
    Letters(Letters),
    /// See [`WordRule::Words`].
    Words,
    /// See [`WordRule::Nouns`].
    Nouns(Box<Nouns>),
    /// See [`WordRule::Regex`].
    Regex(Regex),
}

impl Splitter {
    /// Puts `rule` to work.
    pub fn new(rule: &WordRule) -> Self {
        match rule {
            WordRule::Letters => Self::Letters(Letters::default()),
            WordRule::Words => Self::Words,
            WordRule::Nouns => Self::Nouns(Box::default()),
            WordRule::Regex(regex) => Self::Regex(regex.clone()),
        }
    }

    /// Puts the words of `caption` in the place of those in `words`.
    #[inline]
    pub fn split(&mut self, caption: &str, words: &mut Words) {
        words.clear();
        match self {
            Self::Letters(letters) => letters.split(caption, words),
            Self::Words => {
                let lower = lower_case(caption);
                let kept = lower.unicode_words().filter(|w| !stop_words::is_stop_word(w));
                kept.for_each(|word| words.push(word));
            }
            Self::Nouns(nouns) => nouns.split(caption, words),
            Self::Regex(regex) => {
                regex.find_iter(caption).filter(|m| !m.is_empty()).for_each(|m| words.push(m.as_str()));
            }
        }
    }
}

/// All stop words, for the documentation of a run.
pub fn stop_words() -> &'static [&'static str] {
    stop_words::STOP_WORDS
}

/// Shared by threads where a rule needs a model.
type Shared<T> = Arc<T>;

#[cfg(test)]
mod tests;
