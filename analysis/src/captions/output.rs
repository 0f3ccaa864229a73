//! The result as sections of a report, and as files: CSV of every table, drawings, `captions.md`, `captions.json`.

use std::path::Path;

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use pairmill_shards::printable::excerpt;

use super::args::DEFAULT_SHOWN;
use super::error::CaptionsError;
use super::result::{CaptionsResult, SourceResult, TextCount};
use crate::chart::{Bar, bars};
use crate::output::write_linked;
use crate::report::{Block, FigureBlock, Report, Section, Table, Value, to_markdown};

/// Captions are cut after so many characters in tables that people read.
const MAX_SHOWN_CHARS: usize = 120;

fn number(n: u64) -> Value {
    Value::Number(n as f64, 0)
}

fn percent(share: f64) -> Value {
    Value::Number(share * 100.0, 2)
}

/// What a report shows of the captions.
pub fn sections(result: &CaptionsResult) -> Vec<Section> {
    let mut all = vec![Section {
        id: "captions".to_owned(),
        title: "Captions".to_owned(),
        lead: lead(result),
        blocks: vec![Block::Table(overview(result))],
    }];
    all.extend(result.sources.iter().enumerate().map(|(n, source)| source_section(n, source, result)));
    if !result.overlaps.is_empty() {
        let mut blocks = vec![Block::Table(overlap_table(result))];
        blocks.extend(result.distinctive.iter().enumerate().map(|(n, d)| {
            let bar = |w: &super::result::DistinctiveWord| Bar {
                label: w.word.clone(),
                value: w.z,
                text: format!("{:.1}", w.z),
                hint: format!("{}: {} here, {} elsewhere", w.word, w.count, w.count_elsewhere),
            };
            figure(
                &format!("distinctive-{n}"),
                &format!("What sets {} apart", d.source),
                "Log-odds against all other sources with a Dirichlet prior, in standard deviations.",
                d.words.iter().take(DEFAULT_SHOWN).map(bar).collect(),
                "word",
                "z",
            )
        }));
        all.push(Section {
            id: "captions-compared".to_owned(),
            title: "Sources compared".to_owned(),
            lead: String::new(),
            blocks,
        });
    }
    all
}

fn lead(result: &CaptionsResult) -> String {
    let drawn = result
        .sample
        .map_or_else(String::new, |n| format!(", at most {n} captions of each, seed {}", result.seed));
    format!("Words by the rule `{}`{drawn}.", result.word_rule)
}

fn overview(result: &CaptionsResult) -> Table {
    let columns = [
        "source",
        "rows",
        "captions",
        "without",
        "blank",
        "words",
        "distinct words",
        "characters, median",
        "tokens, median",
        "over 77 tokens, %",
        "redundant, %",
        "English, %",
    ];
    let mut table = Table::new("Sources", &columns);
    for source in &result.sources {
        let length = |unit: &str| source.lengths.iter().find(|l| l.unit == unit);
        let median = |unit: &str| length(unit).map_or(Value::Blank, |l| number(l.summary.median));
        let has_languages = !source.languages.is_empty();
        let english = source.languages.iter().find(|l| l.language == "eng").map_or(0.0, |l| l.share);
        table.rows.push(vec![
            source.name.as_str().into(),
            number(source.account.num_rows),
            number(source.account.num_captions),
            number(source.account.num_null),
            number(source.account.num_blank),
            number(source.account.num_words),
            source.words.as_ref().map_or(Value::Blank, |w| number(w.num_distinct)),
            median("characters"),
            median("tokens"),
            length("tokens").and_then(|l| l.share_truncated).map_or(Value::Blank, percent),
            source.duplicates.as_ref().map_or(Value::Blank, |d| percent(d.share_redundant)),
            if has_languages { percent(english) } else { Value::Blank },
        ]);
    }
    table
}

fn source_section(n: usize, source: &SourceResult, result: &CaptionsResult) -> Section {
    let mut blocks = Vec::new();
    let count_bar = |w: &TextCount| Bar {
        label: w.text.clone(),
        value: w.count as f64,
        text: w.count.to_string(),
        hint: format!("{}: {} times in {} captions", w.text, w.count, w.captions),
    };
    if let Some(words) = &source.words {
        blocks.push(figure(
            &format!("words-{n}"),
            &format!("Most frequent words of {}", source.name),
            &format!(
                "Rule `{}`; {} distinct words, {} of them once.",
                result.word_rule, words.num_distinct, words.num_once
            ),
            words.top.iter().take(DEFAULT_SHOWN).map(count_bar).collect(),
            "word",
            "count",
        ));
    }
    for ngrams in &source.ngrams {
        blocks.push(figure(
            &format!("ngrams-{n}-{}", ngrams.n),
            &format!("Most frequent sequences of {} words", ngrams.n),
            &format!("{} distinct.", ngrams.num_distinct),
            ngrams.top.iter().take(DEFAULT_SHOWN).map(count_bar).collect(),
            "ngram",
            "count",
        ));
    }
    if !source.languages.is_empty() {
        let bar = |l: &super::result::LanguageShare| Bar {
            label: l.language.clone(),
            value: l.share * 100.0,
            text: format!("{:.1} %", l.share * 100.0),
            hint: format!("{}: {} captions", l.language, l.captions),
        };
        blocks.push(figure(
            &format!("languages-{n}"),
            "Languages",
            "ISO 639-3 codes, as whichlang guesses among 16 languages; names and product codes are guesses too. `none`: no letters.",
            source.languages.iter().take(DEFAULT_SHOWN).map(bar).collect(),
            "language",
            "percent",
        ));
    }
    let mut lengths = Table::new("Length", &["unit", "mean", "min", "p25", "median", "p75", "p95", "max"]);
    for length in &source.lengths {
        let s = &length.summary;
        let mut row = vec![length.unit.into(), Value::Number(s.mean, 1)];
        row.extend([s.min, s.p25, s.median, s.p75, s.p95, s.max].map(number));
        lengths.rows.push(row);
    }
    let mut repeated = Table::new("Most repeated captions", &["copies", "caption"]);
    for caption in source.duplicates.iter().flat_map(|d| &d.top).take(DEFAULT_SHOWN) {
        repeated.rows.push(vec![number(caption.count), excerpt(&caption.text, MAX_SHOWN_CHARS).into()]);
    }
    let mut coverage =
        Table::new("Classes named", &["task", "classes", "named", "named, %", "captions", "captions, %"]);
    for c in &source.coverage {
        coverage.rows.push(vec![
            c.task.as_str().into(),
            number(c.num_classes as u64),
            number(c.num_named as u64),
            percent(c.share_named),
            number(c.captions),
            percent(c.share_of_captions),
        ]);
    }
    let tables = [lengths, growth_table(source), coverage, repeated];
    blocks.extend(tables.into_iter().filter(|t| !t.rows.is_empty()).map(Block::Table));
    Section {
        id: format!("captions-{n}"),
        title: source.name.clone(),
        lead: format!("{} in {} files.", source.account, source.num_files),
        blocks,
    }
}

fn growth_table(source: &SourceResult) -> Table {
    let mut table =
        Table::new("Vocabulary growth: distinct words expected in random captions", &["captions", "words"]);
    for point in source.words.iter().flat_map(|w| &w.growth) {
        table.rows.push(vec![number(point.captions), Value::Number(point.words, 1)]);
    }
    table
}

fn overlap_table(result: &CaptionsResult) -> Table {
    let num_top = result.overlaps.first().map_or(0, |o| o.num_top);
    let top = format!("Jaccard of the top {num_top}");
    let mut table =
        Table::new("Overlap", &["a", "b", "Jaccard of all words", &top, "Jensen–Shannon distance"]);
    for o in &result.overlaps {
        let cells = [o.jaccard, o.jaccard_top, o.js_distance].map(|x| Value::Number(x, 4));
        table.rows.push([o.a.as_str().into(), o.b.as_str().into()].into_iter().chain(cells).collect());
    }
    table
}

fn figure(id: &str, title: &str, caption: &str, shown: Vec<Bar>, label: &str, value: &str) -> Block {
    let mut table = Table::new("", &[label, value]);
    table.rows = shown.iter().map(|b| vec![b.label.as_str().into(), Value::Number(b.value, 2)]).collect();
    Block::Figure(FigureBlock {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        drawing: bars(&shown, title),
        table,
    })
}

/// The result as files: names (relative to the folder of the report) and texts. Pictures are not among them.
pub fn to_files(result: &CaptionsResult) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for source in &result.sources {
        let folder = if result.sources.len() == 1 { String::new() } else { format!("{}/", source.name) };
        let mut add = |name: &str, table: Table| {
            if !table.rows.is_empty() {
                files.push((format!("{folder}{name}.csv"), table.to_csv()));
            }
        };
        let mut ngrams = Table::new("", &["n", "ngram", "count", "captions"]);
        for table in &source.ngrams {
            let row = |t: &TextCount| {
                vec![number(table.n as u64), t.text.as_str().into(), number(t.count), number(t.captions)]
            };
            ngrams.rows.extend(table.top.iter().map(row));
        }
        add("ngrams", ngrams);
        let mut lengths = Table::new("", &["unit", "length", "captions"]);
        for table in &source.lengths {
            lengths
                .rows
                .extend(table.counts.iter().map(|(l, n)| vec![table.unit.into(), number(*l), number(*n)]));
        }
        add("lengths", lengths);
        let mut languages = Table::new("", &["language", "captions", "share"]);
        let row = |l: &super::result::LanguageShare| {
            vec![l.language.as_str().into(), number(l.captions), Value::Number(l.share, 6)]
        };
        languages.rows.extend(source.languages.iter().map(row));
        add("languages", languages);
        let mut duplicates = Table::new("", &["copies", "caption"]);
        let repeated = source.duplicates.iter().flat_map(|d| &d.top);
        duplicates.rows.extend(repeated.map(|t| vec![number(t.count), t.text.as_str().into()]));
        add("duplicates", duplicates);
        add("growth", growth_table(source));
        let mut classes = Table::new("", &["task", "class", "mentions", "captions"]);
        for coverage in &source.coverage {
            classes.rows.extend(coverage.classes.iter().map(|c| {
                vec![
                    coverage.task.as_str().into(),
                    c.class.as_str().into(),
                    number(c.mentions),
                    number(c.captions),
                ]
            }));
        }
        add("classes", classes);
    }
    let mut distinctive = Table::new("", &["source", "word", "count", "count_elsewhere", "log_odds", "z"]);
    for d in &result.distinctive {
        distinctive.rows.extend(d.words.iter().map(|w| {
            let numbers = [
                number(w.count),
                number(w.count_elsewhere),
                Value::Number(w.log_odds, 4),
                Value::Number(w.z, 3),
            ];
            [d.source.as_str().into(), w.word.as_str().into()].into_iter().chain(numbers).collect()
        }));
    }
    if !result.overlaps.is_empty() {
        files.push(("distinctive.csv".to_owned(), distinctive.to_csv()));
        let mut overlap = overlap_table(result);
        overlap.columns = ["a", "b", "jaccard", "jaccard_top", "js_distance"].map(str::to_owned).to_vec();
        files.push(("overlap.csv".to_owned(), overlap.to_csv()));
    }
    // Numbers and text always become JSON.
    let json = serde_json::to_string_pretty(result).unwrap_or_default();
    files.push(("captions.json".to_owned(), json + "\n"));
    let report = Report { title: "Captions".to_owned(), lead: String::new(), sections: sections(result) };
    files.push(("captions.md".to_owned(), to_markdown(&report, "")));
    files
}

/// Writes all files and drawings; returns their names.
pub(super) fn write(result: &CaptionsResult, out: &Path) -> Result<Vec<String>, CaptionsError> {
    let mut names = Vec::new();
    for (name, text) in to_files(result) {
        let path = out.join(&name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| FileError::new(folder, FileAction::Create, e))?;
        }
        write_atomic(path, text.as_bytes())?;
        names.push(name);
    }
    names.extend(write_linked(&sections(result), out)?.into_iter().map(|id| format!("{id}.svg")));
    Ok(names)
}
