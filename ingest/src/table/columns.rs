//! Which columns of a table are read, in which order they come out and under which names.
//!
//! The order is img2dataset's reader order (FORMAT.md, sidecar): additional columns as given, then `caption`, then
//! the promised hash under the name of its kind, then `url`. Columns that are only looked at come last, so that
//! cutting them off is a slice.
//!
//! A name may hold alternatives, `URL|url|image_url`: what one release calls so, another calls otherwise. The first
//! that the table has wins, spelled exactly before spelled in another case.

use std::path::Path;

use pairmill_shards::table::{HashKind, RESERVED_COLUMNS};

use super::TableConfig;
use super::error::TableError;
use super::format::InputFormat;

/// Whether the output has a column of this name already, so that no additional column may have it.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED_COLUMNS.contains(&name)
        || matches!(name, "caption" | "url")
        || HashKind::ALL.iter().any(|kind| kind.as_str() == name)
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Extra,
    Caption,
    Hash,
    Url,
    /// Read for a filter and cut off again.
    Looked {
        asked_by: &'static str,
    },
}

impl Role {
    pub(super) fn asked_by(self) -> &'static str {
        match self {
            Self::Extra => "--save-additional-columns",
            Self::Caption => "--caption-col",
            Self::Hash => "--verify-hash",
            Self::Url => "--url-col",
            Self::Looked { asked_by } => asked_by,
        }
    }

    /// Whether the column is text whatever a Parquet file says.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Caption | Self::Hash | Self::Url)
    }
}

/// One column that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name in the table.
    pub(super) source: String,
    /// Its name in our blocks.
    pub(super) name: String,
    pub(super) role: Role,
}

/// The columns of a block, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) columns: Vec<Column>,
}

impl Plan {
    pub(super) fn new(config: &TableConfig, format: InputFormat) -> Result<Self, TableError> {
        if format == InputFormat::Txt {
            let given = [
                ("--save-additional-columns", !config.save_additional_columns.is_empty()),
                ("--caption-col", config.caption_col.is_some()),
                ("--verify-hash", config.verify_hash.is_some()),
            ];
            if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
                return Err(TableError::OptionOfOtherFormat { option, format });
            }
        }
        if config.headerless.is_some() && format.delimiter().is_none() && !config.header_optional {
            return Err(TableError::OptionOfOtherFormat { option: "--columns", format });
        }
        let mut columns: Vec<Column> = Vec::new();
        for name in &config.save_additional_columns {
            if is_reserved(name) {
                return Err(TableError::ReservedColumn { column: name.clone() });
            }
            if columns.iter().any(|column| column.name == *name) {
                return Err(TableError::RepeatedColumn { column: name.clone() });
            }
            columns.push(Column { source: name.clone(), name: name.clone(), role: Role::Extra });
        }
        if let Some(caption) = &config.caption_col {
            let name = "caption".to_owned();
            columns.push(Column { source: caption.clone(), name, role: Role::Caption });
        }
        if let Some((hash, kind)) = &config.verify_hash {
            if kind.parse::<HashKind>().is_err() {
                return Err(TableError::UnknownHash { word: kind.clone() });
            }
            columns.push(Column { source: hash.clone(), name: kind.clone(), role: Role::Hash });
        }
        let source = if format == InputFormat::Txt { "url" } else { &config.url_col };
        columns.push(Column { source: source.to_owned(), name: "url".to_owned(), role: Role::Url });
        for looked in &config.looked_at {
            let role = Role::Looked { asked_by: looked.asked_by };
            columns.push(Column {
                source: looked.column.clone(),
                name: looked.name.clone().into_owned(),
                role,
            });
        }
        Ok(Self { columns })
    }

    /// Whether any column's type depends on its values.
    pub(super) fn has_extras(&self) -> bool {
        self.columns.iter().any(|column| column.role == Role::Extra)
    }

    /// For each column its index among `existing`, the names the file has.
    pub(super) fn locate(&self, path: &Path, existing: &[String]) -> Result<Vec<usize>, TableError> {
        self.columns.iter().map(|column| locate_one(column, path, existing)).collect()
    }
}

/// How well the column `name` of a table answers to `wanted`, 0 best; `None` if not at all.
pub(super) fn rank(wanted: &str, name: &str) -> Option<usize> {
    if wanted == name {
        return Some(0);
    }
    if !wanted.contains('|') {
        return None;
    }
    let alternatives = || wanted.split('|').enumerate();
    let exact = alternatives().find(|(_, other)| *other == name).map(|(place, _)| place);
    exact.or_else(|| {
        let place = alternatives().find(|(_, other)| other.eq_ignore_ascii_case(name))?.0;
        Some(place + wanted.len())
    })
}

/// Whether one of `existing` answers to `wanted`.
pub(super) fn is_among(wanted: &str, existing: &[String]) -> bool {
    existing.iter().any(|name| rank(wanted, name).is_some())
}

fn locate_one(column: &Column, path: &Path, existing: &[String]) -> Result<usize, TableError> {
    let best = existing.iter().filter_map(|name| rank(&column.source, name)).min();
    let mut places =
        existing.iter().enumerate().filter(|(_, name)| best.is_some() && rank(&column.source, name) == best);
    match (places.next(), places.count()) {
        (Some((index, _)), 0) => Ok(index),
        (Some(_), more) => Err(TableError::AmbiguousColumn {
            path: path.to_owned(),
            column: column.source.clone(),
            count: more + 1,
        }),
        (None, _) => Err(missing(column, path, existing)),
    }
}

pub(super) fn missing(column: &Column, path: &Path, existing: &[String]) -> TableError {
    TableError::MissingColumn {
        path: path.to_owned(),
        column: column.source.clone(),
        asked_by: column.role.asked_by(),
        existing: existing.iter().map(|name| shown(name)).collect(),
        hint: hint(column, existing),
    }
}

/// A column's name for a message. Where the first line is data, a name may be a URL with a password in it.
fn shown(name: &str) -> String {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| name.starts_with(scheme));
    scheme.map_or_else(|| name.to_owned(), |scheme| format!("{scheme}…"))
}

/// The likely fix for a missing column.
fn hint(column: &Column, existing: &[String]) -> String {
    if existing.iter().any(|name| name.starts_with("http://") || name.starts_with("https://")) {
        return "; the first line looks like data, so name the columns with --columns".to_owned();
    }
    if let [only] = existing {
        for (separator, what, fix) in [('\t', "tabs", "tsv"), (',', "commas", "csv")] {
            if only.contains(separator) {
                return format!("; the header holds {what}, try --input-format {fix}");
            }
        }
    }
    if let Role::Looked { asked_by } = column.role {
        return format!("; name the column with {asked_by}, or turn the rule that needs it off");
    }
    let wanted = column.source.to_lowercase();
    let closest = existing
        .iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name))
        // `max_by` takes the last of equals; reversed, the first column of the file wins.
        .rev()
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match closest {
        Some((score, name)) if score >= 0.8 => {
            format!("; did you mean {} {name}?", column.role.asked_by())
        }
        _ => format!("; name one of them with {}", column.role.asked_by()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TableConfig {
        TableConfig {
            caption_col: Some("TEXT".into()),
            url_col: "URL".into(),
            save_additional_columns: vec!["NSFW".into(), "LICENSE".into()],
            verify_hash: Some(("digest".into(), "md5".into())),
            ..TableConfig::default()
        }
    }

    #[test]
    fn columns_come_in_reader_order_under_their_output_names() {
        let plan = Plan::new(&config(), InputFormat::Parquet).unwrap();
        let pairs: Vec<_> = plan.columns.iter().map(|c| (c.source.as_str(), c.name.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("NSFW", "NSFW"),
                ("LICENSE", "LICENSE"),
                ("TEXT", "caption"),
                ("digest", "md5"),
                ("URL", "url")
            ]
        );
    }

    #[test]
    fn of_several_names_the_first_wins_and_the_exact_spelling_before_another() {
        let place = |wanted: &str, existing: &[&str]| {
            let config = TableConfig { url_col: wanted.to_owned(), ..TableConfig::default() };
            let plan = Plan::new(&config, InputFormat::Csv).unwrap();
            let existing: Vec<String> = existing.iter().map(|&name| name.to_owned()).collect();
            plan.locate(Path::new("t.csv"), &existing).map(|places| places[0])
        };
        assert_eq!(place("URL|url", &["text", "url", "URL"]).unwrap(), 2);
        assert_eq!(place("URL|url", &["text", "Url"]).unwrap(), 1);
        assert_eq!(place("a|b", &["B", "b"]).unwrap(), 1);
        assert!(place("url", &["URL"]).is_err(), "a plain name is taken as it is");
        let twice = place("a|b", &["x", "A", "a ", "A"]).unwrap_err().to_string();
        assert!(twice.contains("appears 2 times"), "{twice}");
    }

    #[test]
    fn reserved_and_repeated_names_are_refused() {
        // img2dataset's list, and what Pairmill adds.
        let reserved = "key caption url width height original_width original_height status error_message exif md5 \
                        sha256 sha512 failure_class attempts final_url retry_of";
        for name in reserved.split(' ') {
            let config = TableConfig { save_additional_columns: vec![name.into()], ..config() };
            assert_eq!(
                Plan::new(&config, InputFormat::Csv).unwrap_err().to_string(),
                format!(
                    "--save-additional-columns cannot hold `{name}`: the output has a column of that name; \
                     rename it in the table"
                )
            );
        }
        let config = TableConfig { save_additional_columns: vec!["a".into(), "a".into()], ..config() };
        assert_eq!(
            Plan::new(&config, InputFormat::Csv).unwrap_err().to_string(),
            "--save-additional-columns names `a` twice; name it once"
        );
    }

    #[test]
    fn options_of_another_format_are_refused() {
        for (config, format, expected) in [
            (config(), InputFormat::Txt, "--save-additional-columns does not apply to txt input"),
            (
                TableConfig { save_additional_columns: vec![], ..config() },
                InputFormat::Txt,
                "--caption-col does not apply to txt input",
            ),
            (
                TableConfig { headerless: Some(vec!["url".into()]), ..config() },
                InputFormat::Jsonl,
                "--columns does not apply to jsonl input",
            ),
        ] {
            let error = Plan::new(&config, format).unwrap_err().to_string();
            assert_eq!(error, format!("{expected}; leave it out, or give another --input-format"));
        }
        let config = TableConfig { verify_hash: Some(("h".into(), "crc32".into())), ..config() };
        assert_eq!(
            Plan::new(&config, InputFormat::Csv).unwrap_err().to_string(),
            "--verify-hash kind `crc32` is not known; it is md5, sha256 or sha512"
        );
    }

    #[test]
    fn a_missing_column_comes_with_the_likely_fix() {
        let plan =
            Plan::new(&TableConfig { url_col: "url".into(), ..TableConfig::default() }, InputFormat::Csv)
                .unwrap();
        let check = |existing: &[&str], expected: &str| {
            let existing: Vec<String> = existing.iter().map(|&s| s.to_owned()).collect();
            let error = plan.locate(Path::new("t.csv"), &existing).unwrap_err().to_string();
            assert_eq!(error, format!("t.csv: {expected}"));
        };
        check(
            &["URL", "TEXT"],
            "no column `url` (--url-col); the columns are URL, TEXT; did you mean --url-col URL?",
        );
        check(
            &["picture", "words"],
            "no column `url` (--url-col); the columns are picture, words; name one of them with --url-col",
        );
        check(
            &[
                "http://u:PASSWORD@a/b.jpg?sig=SIGNATURE",
                "a dog that\nruns after a ball, and then after another one",
            ],
            "no column `url` (--url-col); the columns are http://…, a dog that runs after a ball, and then a…; \
             the first line looks like data, so name the columns with --columns",
        );
        check(
            &["url\tcaption"],
            "no column `url` (--url-col); the columns are url caption; the header holds tabs, try --input-format tsv",
        );
        check(&["url", "x", "url"], "column `url` appears 2 times; rename all but one");
    }
}
