//! A user's list of words and phrases that no caption may have.
//!
//! RedCaps' authors and others match a word with white space around it; here anything but letters and digits ends a
//! word, so punctuation hides none, and a word within another (`Scunthorpe`) is none.

use std::collections::HashSet;
use std::path::Path;

use super::error::FilterError;
use crate::small_file::{LIST_BYTES, read_text};

/// The list, and room for the caption being looked at.
#[derive(Debug)]
pub(super) struct WordList {
    words: HashSet<String>,
    /// Of more than one word, with a blank at both ends.
    phrases: Vec<String>,
    plain: String,
}

impl WordList {
    /// Reads one word or phrase a line; blank lines are skipped.
    pub(super) fn read(path: &Path) -> Result<Self, FilterError> {
        let text = read_text(path, LIST_BYTES)
            .map_err(|error| FilterError::Words { path: path.to_owned(), error })?;
        let mut list = Self { words: HashSet::new(), phrases: Vec::new(), plain: String::new() };
        for line in text.trim_start_matches('\u{feff}').lines() {
            simplify(line, &mut list.plain);
            match list.plain.split_whitespace().count() {
                0 => {}
                1 => drop(list.words.insert(list.plain.trim().to_owned())),
                _ => list.phrases.push(list.plain.clone()),
            }
        }
        if list.words.is_empty() && list.phrases.is_empty() {
            return Err(FilterError::NoWords { path: path.to_owned() });
        }
        Ok(list)
    }

    /// Whether `caption` has one of them.
    pub(super) fn is_in(&mut self, caption: &str) -> bool {
        simplify(caption, &mut self.plain);
        self.plain.split(' ').any(|word| self.words.contains(word))
            || self.phrases.iter().any(|phrase| self.plain.contains(phrase))
    }
}

/// Lower-case words with one blank before, between and behind them.
fn simplify(text: &str, plain: &mut String) {
    plain.clear();
    plain.push(' ');
    for c in text.chars() {
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    if !plain.ends_with(' ') {
        plain.push(' ');
    }
}
