//! Each source's files with their quirks, byte by byte, and exactly which rows come out and which rule has the others.

mod conceptual;
mod errors;
mod laion;
mod redcaps;
mod shutterstock;
mod wit;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use arrow::array::{Array, AsArray};

use super::*;
use crate::config::Config;
use crate::error::IngestError;
use crate::filter::{Funnel, Rule};
use crate::run::{filtered_rows, table_config};
use crate::table::{Oddities, Tables};

/// What came out of a source's files.
#[derive(Debug)]
struct Taken {
    /// URL and caption of each row.
    rows: Vec<(String, String)>,
    /// Names of the columns.
    columns: Vec<String>,
    funnel: Funnel,
    oddities: Oddities,
}

impl Taken {
    fn captions(&self) -> Vec<&str> {
        self.rows.iter().map(|(_, caption)| caption.as_str()).collect()
    }

    fn urls(&self) -> Vec<&str> {
        self.rows.iter().map(|(url, _)| url.as_str()).collect()
    }

    /// Rules that dropped rows, each with how many; and that every row is accounted for.
    #[track_caller]
    fn dropped(&self) -> Vec<(&'static str, u64)> {
        let dropped: Vec<_> = Rule::ALL
            .iter()
            .map(|&rule| (rule.as_str(), self.funnel.dropped(rule)))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        let sum: u64 = dropped.iter().map(|(_, rows)| rows).sum();
        assert_eq!(self.funnel.rows_in, self.rows.len() as u64 + sum, "{}", self.funnel);
        assert_eq!(self.funnel.kept(), self.rows.len() as u64);
        dropped
    }
}

fn config(source: Source, input: &Path) -> Config {
    let mut config = Config::of_source(source);
    config.input.url_list = input.to_str().unwrap().to_owned();
    config.source.accept_terms = true;
    config.source.contact = Some("me@lab.org".to_owned());
    config
}

fn try_take(config: &Config) -> Result<Taken, IngestError> {
    config.validate()?;
    let local = crate::input::LocalInput::fetch(config, &mut |_| {}, &AtomicBool::new(false))?.unwrap();
    let tables = Tables::open(&table_config(config, &local)?)?;
    let mut rows = filtered_rows(config, &tables, &AtomicBool::new(false))?.unwrap();
    let mut taken = Vec::new();
    while let Some(batch) = rows.next_rows()? {
        assert_eq!(batch.schema().fields(), tables.kept_schema().fields());
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap().as_string::<i32>();
            if column.is_valid(row) { column.value(row).to_owned() } else { "∅".to_owned() }
        };
        taken.extend((0..batch.num_rows()).map(|row| (text("url", row), text("caption", row))));
    }
    let columns = tables.kept_schema().fields().iter().map(|field| field.name().clone()).collect();
    Ok(Taken { rows: taken, columns, funnel: rows.funnel(), oddities: rows.oddities() })
}

#[track_caller]
fn take(config: &Config) -> Taken {
    try_take(config).unwrap()
}

/// Writes `bytes` as file `name`, gzipped if it is named so.
fn file(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    let bytes = if name.ends_with(".gz") {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes.as_ref()).unwrap();
        packer.finish().unwrap()
    } else {
        bytes.as_ref().to_vec()
    };
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn every_source_has_its_word_and_a_guide_and_a_config_that_reads_back() {
    for source in Source::ALL {
        let word = toml::Value::try_from(source).unwrap();
        assert_eq!(word.as_str(), Some(source.as_str()));
        let manners = source.manners();
        assert!(!manners.licence.is_empty() && !manners.guide.download.is_empty(), "{source}");
        let config = config(source, Path::new("x"));
        assert_eq!(Config::parse(&toml::to_string(&config).unwrap()).unwrap(), config, "{source}");
        config.validate().unwrap();
    }
}
