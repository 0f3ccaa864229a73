//! URL tables: rows of a source, some of them faulty, in the file format the real source has (sources.md), streamed
//! so that a million rows need no more memory than a thousand.

mod format;
mod parquet;
pub(crate) mod sink;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

pub use format::TableFormat;
pub(crate) use text::{WIT_COLUMNS, YfccItem, base36, form_encode, yfcc_chance, yfcc_columns};

use crate::caption::Caption;
use crate::encode::Encoding;
use crate::error::{Error, Result};
use crate::fault::{ClientPolicy, Fault, FaultMix, SUCCESS};
use crate::rng::{Rng, mix};
use crate::source::Source;
use crate::world::World;

/// Which rows a table has.
#[derive(Debug, Clone, PartialEq)]
pub struct TableConfig {
    /// The source.
    pub source: Source,
    /// Number of rows.
    pub rows: u64,
    /// Index of the first row; rows of one source are the same in every table that holds them.
    pub first: u64,
    /// Where the world is served, without a slash at the end; at least one. Rows spread over several evenly, but
    /// the faults that slow their host ([`Fault::slows_its_host`]) all go to the last.
    pub base_urls: Vec<String>,
    /// Share of rows with a fault, 0 to 1.
    pub fault_rate: f64,
    /// Which faults.
    pub mix: FaultMix,
}

impl TableConfig {
    /// `rows` rows of `source`, all sound, served at `base_url`.
    pub fn new(source: Source, rows: u64, base_url: impl Into<String>) -> Self {
        Self { source, rows, first: 0, base_urls: vec![base_url.into()], fault_rate: 0.0, mix: FaultMix::Web }
    }

    /// The same with faults.
    pub fn with_faults(self, fault_rate: f64, mix: FaultMix) -> Self {
        Self { fault_rate, mix, ..self }
    }

    fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.fault_rate) {
            return Err(Error::Config(format!("fault rate {} is not a share; give 0 to 1", self.fault_rate)));
        }
        if self.base_urls.is_empty() {
            return Err(Error::Config("no base URL; give the address of a running world".to_owned()));
        }
        Ok(())
    }
}

/// One row, with the ground truth no table holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Index in the source.
    pub index: u64,
    /// Index of the picture it shows; an earlier row's where the URL is repeated.
    pub picture: u64,
    /// The URL.
    pub url: String,
    /// The caption and its other forms.
    pub caption: Caption,
    /// Width of the picture served, pixels.
    pub width: u32,
    /// Height of the picture served, pixels.
    pub height: u32,
    /// Format of the sound picture.
    pub encoding: Encoding,
    /// The fault the URL leads to.
    pub fault: Option<Fault>,
}

impl Row {
    /// The outcome the row must have: `success` or a failure class; `None` where that depends on the network
    /// beyond this machine, which no row of a [`FaultMix`] does.
    pub fn outcome(&self, policy: &ClientPolicy) -> Option<&'static str> {
        match self.fault {
            Some(fault) => fault.outcome(policy),
            None if policy.allow_private_addresses => Some(SUCCESS),
            None => Some("private_address"),
        }
    }
}

/// What a written table holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableSummary {
    /// Rows written.
    pub rows: u64,
    /// Rows with each fault.
    pub faults: BTreeMap<Fault, u64>,
}

impl TableSummary {
    /// Rows by the outcome they must have; `unknown` for those that depend on the network beyond this machine.
    pub fn expectations(&self, policy: &ClientPolicy) -> BTreeMap<&'static str, u64> {
        let mut outcomes = BTreeMap::new();
        let sound = self.rows - self.faults.values().sum::<u64>();
        let word = if policy.allow_private_addresses { SUCCESS } else { "private_address" };
        if sound > 0 {
            outcomes.insert(word, sound);
        }
        for (fault, count) in &self.faults {
            *outcomes.entry(fault.outcome(policy).unwrap_or("unknown")).or_default() += count;
        }
        outcomes
    }
}

const ROW: u64 = 3;

impl World {
    /// Row `index` of the table `config` describes: a pure function of the world, the config and the index.
    pub fn row(&self, config: &TableConfig, index: u64) -> Row {
        let source = config.source;
        let mut rng = Rng::of(&[self.config().seed, ROW, source as u64, index]);
        let repeats = index > 0 && rng.chance(source.rates().repeated_url);
        let mut shown = if repeats { index - 1 - rng.below(index.min(1000)) } else { index };
        let mut fault = self.fault_at(config, shown);
        if repeats && fault.is_some_and(|f| f.failures_before_ok().is_some()) {
            // Two rows that share a URL which counts attempts would depend on each other.
            shown = index;
            fault = self.fault_at(config, index);
        }
        let num_hosts = config.base_urls.len() as u64;
        let host = match fault {
            Some(fault) if fault.slows_its_host() => num_hosts - 1,
            _ => mix(shown ^ 0x686f_7374) % num_hosts,
        };
        let base = &config.base_urls[host as usize];
        let picture = match fault {
            Some(_) => self.fault_picture(source, shown),
            None => self.picture(source, shown),
        };
        let url = match fault {
            Some(fault) => fault.url(base, source, shown),
            None => format!("{base}/{source}/{shown}.{}", picture.encoding.extension()),
        };
        Row {
            index,
            picture: shown,
            url,
            caption: self.caption_of(source, index, shown),
            width: picture.width,
            height: picture.height,
            encoding: picture.encoding,
            fault,
        }
    }

    fn fault_at(&self, config: &TableConfig, index: u64) -> Option<Fault> {
        let mut rng = Rng::of(&[self.config().seed, ROW, config.source as u64, index, 1]);
        if config.mix == FaultMix::Web {
            return (f64::from(rng.unit()) < config.fault_rate).then(|| config.mix.draw(0, &mut rng));
        }
        // Evenly spaced, so that the nth fault of the table is the nth in turn.
        let before = |i: u64| (i as f64 * config.fault_rate) as u64;
        (before(index + 1) > before(index)).then(|| config.mix.draw(before(index), &mut rng))
    }

    /// The rows of a table in order.
    pub fn rows<'a>(&'a self, config: &'a TableConfig) -> impl Iterator<Item = Row> + 'a {
        (config.first..config.first + config.rows).map(|index| self.row(config, index))
    }

    /// The summary of a table without writing it.
    pub fn summary(&self, config: &TableConfig) -> TableSummary {
        let mut summary = TableSummary::default();
        self.rows(config).for_each(|row| summary.count(&row));
        summary
    }

    /// Writes the table at `path` in the format its source has, or in the one its name ends in
    /// ([`TableFormat::for_path`]). The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Config`] for a rate that is no share or no base URL, [`Error::UnknownFormat`], and the errors of
    /// writing with the path in them.
    pub fn write_table(&self, config: &TableConfig, path: &Path) -> Result<TableSummary> {
        self.write_table_as(config, TableFormat::for_path(config.source, path)?, path)
    }

    /// Writes the table at `path` in `format`; a name that ends in `.gz` or `.zst` compresses it.
    ///
    /// # Errors
    /// As [`World::write_table`].
    pub fn write_table_as(
        &self,
        config: &TableConfig,
        format: TableFormat,
        path: &Path,
    ) -> Result<TableSummary> {
        config.check()?;
        let mut summary = TableSummary::default();
        let rows = self.rows(config).inspect(|row| summary.count(row));
        let mut sink = sink::Sink::create(path)?;
        match format {
            TableFormat::LaionParquet => sink = parquet::write_laion(rows, sink, path)?,
            TableFormat::Parquet => sink = parquet::write_plain(rows, sink, path)?,
            _ => text::write(format, rows, &mut sink).map_err(Error::io(path))?,
        }
        sink.finish()?;
        Ok(summary)
    }
}

impl TableSummary {
    fn count(&mut self, row: &Row) {
        self.rows += 1;
        if let Some(fault) = row.fault {
            *self.faults.entry(fault).or_default() += 1;
        }
    }
}
