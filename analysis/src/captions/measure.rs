//! From sources to the result: scan each, put its threads together, boil the counts down, compare.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use pairmill_shards::atomic::{AtomicFile, FileAction, FileError};
use pairmill_tokens::{CONTEXT_LENGTH, Tokenizer};

use super::args::Measure;
use super::classes::Classes;
use super::compare::compare;
use super::config::Config;
use super::count::{Counted, SpillError};
use super::error::CaptionsError;
use super::growth::growth;
use super::lengths::Lengths;
use super::read::plan;
use super::result::{
    CaptionsResult, Duplicates, GrowthPoint, LanguageShare, LengthTable, NgramTable, SourceResult, TextCount,
    WordTable,
};
use super::sample::draw;
use super::scan::scan;
use super::source::Source;
use super::tally::{Spills, Tally, Totals};

/// Rows kept of tables that would otherwise be as long as the data, unless the user says another number.
pub const DEFAULT_TOP: usize = 1000;
/// Words that are shown to set a source apart.
const NUM_DISTINCTIVE: usize = 100;
/// Bytes an entry takes after counting, about.
const ENTRY_BYTES: usize = 64;
const NO_LETTERS: &str = "none";

/// Measures `sources`. Every word goes to `words.csv` in the folder that `folder_of` names for its source, since the
/// result holds only the most frequent; temporary files go to `out`.
///
/// # Errors
/// When a source cannot be read or holds no caption, or a file not be written.
pub fn measure(
    config: &Config,
    sources: &[Source],
    classes: &Classes,
    out: &Path,
    top: Option<usize>,
) -> Result<CaptionsResult, CaptionsError> {
    let mut result = CaptionsResult {
        word_rule: config.word_rule.to_string(),
        sample: config.sample,
        seed: config.seed,
        sources: Vec::new(),
        distinctive: Vec::new(),
        overlaps: Vec::new(),
    };
    // Schemas are looked at before anything is counted, so that a mistyped column shows at once.
    let mut plans = Vec::new();
    for source in sources {
        plans.push(plan(source, config.caption_col.as_deref())?);
    }
    let tokenizer = config.measures.contains(&Measure::Tokens).then(Tokenizer::new).transpose();
    let tokenizer = tokenizer.map_err(|e| CaptionsError::Tokens(e.to_string()))?;
    let max_in_memory = config.memory_bytes / 4 / ENTRY_BYTES / sources.len().max(1);
    let mut counted = Vec::new();
    for (source, pieces) in sources.iter().zip(&plans) {
        let draw = config.sample.map(|num| draw(pieces, num, config.seed, config.num_threads)).transpose()?;
        let spills = Spills::new(out, config.ngrams);
        let tally = || Tally::new(config, &spills, classes, draw, tokenizer.as_ref().map(Tokenizer::encoder));
        let tallies: Vec<_> = (0..config.num_threads).map(|_| tally()).collect();
        let totals = Totals::new(scan(pieces, tallies)?, spills, max_in_memory)?;
        if totals.account.num_captions == 0 {
            let (source_name, account) = (source.name.clone(), totals.account.to_string());
            return Err(CaptionsError::NoCaptions { source_name, account });
        }
        result.sources.push(boil_down(source, &totals, top.unwrap_or(DEFAULT_TOP))?);
        if let Some(words) = totals.words {
            let folder = folder_of(out, sources, source);
            std::fs::create_dir_all(&folder).map_err(|e| FileError::new(&folder, FileAction::Create, e))?;
            write_words(&words, &folder, out, totals.account.num_captions, top)?;
            counted.push((source.name.as_str(), words));
        }
    }
    if counted.len() > 1 {
        let sides: Vec<(&str, &Counted)> = counted.iter().map(|(name, counted)| (*name, counted)).collect();
        (result.distinctive, result.overlaps) = compare(&sides, NUM_DISTINCTIVE)?;
    }
    Ok(result)
}

/// Where the tables of a source go: `out` itself when it is the only one.
pub fn folder_of(out: &Path, sources: &[Source], source: &Source) -> std::path::PathBuf {
    if sources.len() == 1 { out.to_owned() } else { out.join(&source.name) }
}

fn boil_down(source: &Source, totals: &Totals, top: usize) -> Result<SourceResult, SpillError> {
    let num_captions = totals.account.num_captions;
    let share = |n: u64| n as f64 / num_captions as f64;
    let words = totals.words.as_ref().map(|words| word_table(words, num_captions, top)).transpose()?;
    let mut ngrams = Vec::new();
    for (counted, n) in totals.ngrams.iter().zip(2..) {
        let (num_distinct, num_total) = (counted.num_distinct, counted.num_total);
        ngrams.push(NgramTable { n, num_distinct, num_total, top: text_counts(counted, top)? });
    }
    let mut lengths = Vec::new();
    let mut add = |unit, counts: &Lengths, share_truncated| {
        let rows = counts.iter().collect();
        lengths.extend(counts.summary().map(|summary| LengthTable {
            unit,
            summary,
            share_truncated,
            counts: rows,
        }));
    };
    if let Some([characters, words]) = &totals.lengths {
        add("characters", characters, None);
        add("words", words, None);
    }
    if let Some(tokens) = &totals.tokens {
        add("tokens", tokens, Some(share(tokens.num_above(CONTEXT_LENGTH as u64))));
    }
    let mut languages: Vec<LanguageShare> = totals
        .languages
        .iter()
        .flatten()
        .map(|(language, &captions)| LanguageShare {
            language: language.unwrap_or(NO_LETTERS).to_owned(),
            captions,
            share: share(captions),
        })
        .collect();
    languages.sort_by(|a, b| b.captions.cmp(&a.captions).then_with(|| a.language.cmp(&b.language)));
    let duplicates =
        totals.captions.as_ref().map(|captions| duplicates(captions, num_captions, top)).transpose()?;
    Ok(SourceResult {
        name: source.name.clone(),
        num_files: source.paths.len(),
        account: totals.account.clone(),
        words,
        ngrams,
        lengths,
        languages,
        duplicates,
        coverage: totals.coverage.clone(),
    })
}

fn text_counts(counted: &Counted, top: usize) -> Result<Vec<TextCount>, SpillError> {
    let entries = counted.top(top)?.into_iter();
    Ok(entries.map(|e| TextCount { text: e.word, count: e.count, captions: e.captions }).collect())
}

fn word_table(words: &Counted, num_captions: u64, top: usize) -> Result<WordTable, SpillError> {
    let (mut by_captions, mut num_once) = (BTreeMap::new(), 0);
    words.each(|entry| {
        *by_captions.entry(entry.captions).or_insert(0) += 1;
        num_once += u64::from(entry.count == 1);
    })?;
    let growth = growth(num_captions, &by_captions);
    Ok(WordTable {
        num_distinct: words.num_distinct,
        num_once,
        top: text_counts(words, top)?,
        growth: growth.into_iter().map(|(captions, words)| GrowthPoint { captions, words }).collect(),
    })
}

fn duplicates(captions: &Counted, num_captions: u64, top: usize) -> Result<Duplicates, SpillError> {
    let mut num_repeated = 0;
    captions.each(|entry| num_repeated += if entry.count > 1 { entry.count } else { 0 })?;
    let mut most = text_counts(captions, top)?;
    most.retain(|caption| caption.count > 1);
    Ok(Duplicates {
        num_distinct: captions.num_distinct,
        num_repeated,
        share_redundant: (num_captions - captions.num_distinct) as f64 / num_captions as f64,
        top: most,
    })
}

/// Writes `words.csv` and `document_frequencies.csv`, in the order of the counts.
fn write_words(
    words: &Counted,
    folder: &Path,
    temporary: &Path,
    num_captions: u64,
    top: Option<usize>,
) -> Result<(), CaptionsError> {
    let create =
        |name: &str| Ok::<_, FileError>(csv::Writer::from_writer(AtomicFile::create(folder.join(name))?));
    let mut counts = create("words.csv")?;
    let mut frequencies = create("document_frequencies.csv")?;
    let failed = |e: csv::Error| FileError::new(folder, FileAction::Write, std::io::Error::other(e));
    counts.write_record(["word", "count"]).map_err(failed)?;
    frequencies.write_record(["word", "captions", "share"]).map_err(failed)?;
    let mut write = |word: &str, count: u64, captions: u64| {
        let share = captions as f64 / num_captions as f64;
        counts.write_record([word, &count.to_string()])?;
        frequencies.write_record([word, &captions.to_string(), &share.to_string()])
    };
    match top {
        Some(top) => {
            for entry in words.top(top)? {
                write(&entry.word, entry.count, entry.captions).map_err(failed)?;
            }
        }
        None => words.each_by_count(temporary, |entry| {
            write(entry.word, entry.count, entry.captions).map_err(|e| CaptionsError::from(failed(e)))
        })?,
    }
    for writer in [counts, frequencies] {
        let mut file =
            writer.into_inner().map_err(|e| FileError::new(folder, FileAction::Write, e.into_error()))?;
        file.flush().map_err(|e| FileError::new(folder, FileAction::Write, e))?;
        file.commit()?;
    }
    Ok(())
}
