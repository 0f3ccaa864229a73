//! What one thread measures, caption by caption, and what becomes of it when the threads are put together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::Array;
use pairmill_tokens::Encoder;
use whichlang::detect_language;

use super::args::Measure;
use super::classes::{ClassTally, Classes};
use super::config::Config;
use super::count::{Counted, Counter, Spill};
use super::error::CaptionsError;
use super::lengths::Lengths;
use super::read::Batch;
use super::result::Account;
use super::rule::{Splitter, Words};
use super::sample::Draw;
use super::scan::Worker;

/// Of the memory for counting, what tables may take; the rest is for reading, sorting and writing.
const TABLES_SHARE: f64 = 0.7;
/// Between the words of an n-gram.
const NGRAM_SEPARATOR: u8 = b' ';

/// Where counts go that do not fit into memory, shared by the threads of a source.
#[derive(Debug)]
pub struct Spills {
    words: Arc<Spill>,
    ngrams: Vec<Arc<Spill>>,
    captions: Arc<Spill>,
}

impl Spills {
    /// Unnamed files in `folder`.
    pub fn new(folder: &Path, ngrams: usize) -> Self {
        let new = || Arc::new(Spill::new(folder));
        Self { words: new(), ngrams: (2..=ngrams).map(|_| new()).collect(), captions: new() }
    }
}

/// One thread's measurements.
pub struct Tally<'c> {
    account: Account,
    draw: Option<Draw>,
    splitter: Splitter,
    splits: bool,
    words: Words,
    word_counter: Option<Counter>,
    /// From 2 words up.
    ngram_counters: Vec<Counter>,
    ngram: Vec<u8>,
    caption_counter: Option<Counter>,
    lengths: Option<[Lengths; 2]>,
    tokens: Option<(Encoder, Lengths)>,
    languages: Option<BTreeMap<Language, u64>>,
    classes: Option<ClassTally<'c>>,
}

/// A language as the detector names it, or `None` where it is not sure.
pub type Language = Option<&'static str>;

impl<'c> Tally<'c> {
    /// A thread's tally with its share of the memory. Without an `encoder` no tokens are counted.
    pub fn new(
        config: &Config,
        spills: &Spills,
        classes: &'c Classes,
        draw: Option<Draw>,
        encoder: Option<Encoder>,
    ) -> Self {
        let has = |measure| config.measures.contains(&measure);
        let num_ngrams = if has(Measure::Ngrams) { spills.ngrams.len() } else { 0 };
        let num_counters =
            usize::from(has(Measure::Words)) + num_ngrams + usize::from(has(Measure::Duplicates));
        let tables = (config.memory_bytes as f64 * TABLES_SHARE) as usize;
        let budget = tables / config.num_threads / num_counters.max(1);
        let counter = |spill: &Arc<Spill>| Counter::new(budget, Arc::clone(spill));
        Self {
            account: Account::default(),
            draw,
            splitter: Splitter::new(&config.word_rule),
            splits: has(Measure::Words) || has(Measure::Ngrams) || has(Measure::Lengths),
            words: Words::default(),
            word_counter: has(Measure::Words).then(|| counter(&spills.words)),
            ngram_counters: spills.ngrams[..num_ngrams].iter().map(&counter).collect(),
            ngram: Vec::new(),
            caption_counter: has(Measure::Duplicates).then(|| counter(&spills.captions)),
            lengths: has(Measure::Lengths).then(Default::default),
            tokens: encoder.filter(|_| has(Measure::Tokens)).map(|e| (e, Lengths::default())),
            languages: has(Measure::Languages).then(BTreeMap::new),
            classes: (!classes.is_empty()).then(|| ClassTally::new(classes)),
        }
    }

    #[inline]
    fn take_caption(&mut self, caption: &str) -> Result<(), CaptionsError> {
        if self.splits {
            self.splitter.split(caption, &mut self.words);
            self.account.num_words += self.words.len() as u64;
        }
        if let Some(counter) = &mut self.word_counter {
            counter.next_caption()?;
            let buffer = self.words.buffer();
            for &(start, end) in self.words.spans() {
                counter.add(buffer, start, end);
            }
        }
        if !self.ngram_counters.is_empty() {
            self.take_ngrams()?;
        }
        if let Some([characters, words]) = &mut self.lengths {
            characters.add(caption.chars().count());
            words.add(self.words.len());
        }
        if let Some((encoder, lengths)) = &mut self.tokens {
            lengths.add(encoder.count(caption));
        }
        if let Some(languages) = &mut self.languages {
            // The detector always answers; of digits and signs alone it cannot know.
            let found = caption.chars().any(char::is_alphabetic).then(|| detect_language(caption));
            *languages.entry(found.map(|lang| lang.three_letter_code())).or_insert(0) += 1;
        }
        if let Some(counter) = &mut self.caption_counter {
            counter.next_caption()?;
            counter.add(caption.as_bytes(), 0, caption.len());
        }
        if let Some(classes) = &mut self.classes {
            classes.take(caption);
        }
        Ok(())
    }

    fn take_ngrams(&mut self) -> Result<(), CaptionsError> {
        let (buffer, spans) = (self.words.buffer(), self.words.spans());
        for (counter, n) in self.ngram_counters.iter_mut().zip(2..) {
            counter.next_caption()?;
            for words in spans.windows(n) {
                self.ngram.clear();
                for &(start, end) in words {
                    if !self.ngram.is_empty() {
                        self.ngram.push(NGRAM_SEPARATOR);
                    }
                    self.ngram.extend_from_slice(buffer.get(start..end).unwrap_or_default());
                }
                counter.add(&self.ngram, 0, self.ngram.len());
            }
        }
        Ok(())
    }
}

impl Worker for Tally<'_> {
    fn take(&mut self, batch: &Batch, piece: usize, row: u64) -> Result<(), CaptionsError> {
        self.account.num_rows += batch.captions.len() as u64 + batch.num_failed;
        self.account.num_failed += batch.num_failed;
        self.account.num_not_utf8 += batch.num_not_utf8;
        self.account.num_null += batch.captions.null_count() as u64;
        for (n, caption) in batch.captions.iter().enumerate() {
            let Some(caption) = caption else { continue };
            if caption.trim_start().is_empty() {
                self.account.num_blank += 1;
            } else if self.draw.is_none_or(|draw| draw.takes(piece, row + n as u64)) {
                self.account.num_captions += 1;
                self.take_caption(caption)?;
            } else {
                self.account.num_not_drawn += 1;
            }
        }
        Ok(())
    }
}

/// The threads of a source put together.
pub struct Totals {
    /// What became of the rows.
    pub account: Account,
    /// Words.
    pub words: Option<Counted>,
    /// From 2 words up.
    pub ngrams: Vec<Counted>,
    /// Whole captions.
    pub captions: Option<Counted>,
    /// In characters and in words.
    pub lengths: Option<[Lengths; 2]>,
    /// In CLIP tokens, start and end token included.
    pub tokens: Option<Lengths>,
    /// Captions by language.
    pub languages: Option<BTreeMap<Language, u64>>,
    /// What was found of the classes.
    pub coverage: Vec<super::classes::Coverage>,
}

impl Totals {
    /// Puts `tallies` together.
    ///
    /// # Errors
    /// When a temporary file fails.
    pub fn new(tallies: Vec<Tally<'_>>, spills: Spills, max_in_memory: usize) -> Result<Self, CaptionsError> {
        let (mut words, mut captions) = (Vec::new(), Vec::new());
        let mut ngrams: Vec<Vec<Counter>> = spills.ngrams.iter().map(|_| Vec::new()).collect();
        let mut account = Account::default();
        let mut lengths: Option<[Lengths; 2]> = None;
        let mut tokens: Option<Lengths> = None;
        let mut languages: Option<BTreeMap<Language, u64>> = None;
        let mut classes: Option<ClassTally<'_>> = None;
        for tally in tallies {
            account.merge(&tally.account);
            words.extend(tally.word_counter);
            captions.extend(tally.caption_counter);
            ngrams.iter_mut().zip(tally.ngram_counters).for_each(|(all, counter)| all.push(counter));
            if let Some(theirs) = tally.lengths {
                let all = lengths.get_or_insert_default();
                all.iter_mut().zip(&theirs).for_each(|(a, b)| a.merge(b));
            }
            if let Some((_, theirs)) = tally.tokens {
                tokens.get_or_insert_default().merge(&theirs);
            }
            for (language, num) in tally.languages.into_iter().flatten() {
                *languages.get_or_insert_default().entry(language).or_insert(0) += num;
            }
            if let Some(theirs) = tally.classes {
                match &mut classes {
                    Some(all) => all.merge(&theirs),
                    None => classes = Some(theirs),
                }
            }
        }
        let counted = |counters: Vec<Counter>, spill| {
            (!counters.is_empty()).then(|| Counted::new(counters, spill, max_in_memory)).transpose()
        };
        let words = counted(words, spills.words)?;
        let captions = counted(captions, spills.captions)?;
        let mut all_ngrams = Vec::new();
        for (counters, spill) in ngrams.into_iter().zip(spills.ngrams) {
            all_ngrams.extend(counted(counters, spill)?);
        }
        let coverage = classes.map(|c| c.coverage(account.num_captions)).unwrap_or_default();
        Ok(Self { account, words, ngrams: all_ngrams, captions, lengths, tokens, languages, coverage })
    }
}
