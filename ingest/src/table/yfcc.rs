//! YFCC100M as a table: the metadata file, the list beside it, and batches of the columns that are wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::columns::Plan;
use super::error::TableError;
use super::files::InputFile;
use crate::yfcc::{CaptionRule, JoinOn, YfccConfig, YfccCounters, YfccReader, schema};

/// Beginnings of the names of the two files, as they were released.
const DATASET: &str = "yfcc100m_dataset";
const LIST: &str = "yfcc100m_subset_data";

/// How the metadata is read, the section `[input.yfcc]`. The metadata itself is `url_list`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct YfccOptions {
    /// OpenAI's list; by default the `yfcc100m_subset_data*` beside the metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<PathBuf>,
    /// Take every photo, listed or not.
    pub all_photos: bool,
    /// What the two are joined on.
    pub join: JoinOn,
    /// How title and description become one caption.
    pub caption: CaptionRule,
}

/// Finds both files: `url_list` is the metadata file or the folder that it lies in.
pub(super) fn find(url_list: &str, options: &YfccOptions) -> Result<YfccConfig, TableError> {
    let given = PathBuf::from(url_list);
    if !given.exists() {
        return Err(TableError::Missing { path: given });
    }
    let (folder, dataset) = if given.is_dir() {
        let dataset = named(&given, DATASET)?.ok_or_else(|| TableError::NotYfcc {
            folder: given.clone(),
            name: DATASET,
            fix: "put yfcc100m_dataset.bz2 (or .sql) there",
        })?;
        (given, dataset)
    } else {
        (given.parent().map(Path::to_owned).unwrap_or_default(), given)
    };
    let subset = match (&options.list, options.all_photos) {
        (_, true) => None,
        (Some(list), false) => Some(list.clone()),
        (None, false) => {
            let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
            let fix = "put yfcc100m_subset_data.tsv.bz2 there, or set list or all_photos in [input.yfcc]";
            let found = named(&folder, LIST)?;
            Some(found.ok_or(TableError::NotYfcc { folder, name: LIST, fix })?)
        }
    };
    Ok(YfccConfig { dataset, subset, join: options.join, caption: options.caption })
}

/// The first file of `folder`, by name, whose name begins so.
fn named(folder: &Path, begin: &str) -> Result<Option<PathBuf>, TableError> {
    let unreadable = |error| TableError::Unreadable { path: folder.to_owned(), error };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_string_lossy().starts_with(begin) {
            found.push(entry.path());
        }
    }
    Ok(found.into_iter().min())
}

/// The metadata, then the list: what identifies the input.
pub(super) fn files(config: &YfccConfig) -> Result<Vec<InputFile>, TableError> {
    let file = |path: &PathBuf| {
        let meta =
            fs::metadata(path).map_err(|error| TableError::Unreadable { path: path.clone(), error })?;
        Ok(InputFile { path: path.clone(), bytes: meta.len() })
    };
    [Some(&config.dataset), config.subset.as_ref()].into_iter().flatten().map(file).collect()
}

/// Names of the columns there are.
pub(super) fn names() -> Vec<String> {
    schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// Types of the planned columns; reads the list and the first line.
pub(super) fn check(config: &YfccConfig, plan: &Plan) -> Result<Vec<DataType>, TableError> {
    let places = plan.locate(&config.dataset, &names())?;
    YfccReader::open(config)?;
    Ok(places.into_iter().map(|place| schema().field(place).data_type().clone()).collect())
}

/// The open metadata.
pub(super) struct YfccTable {
    reader: YfccReader,
    places: Vec<usize>,
    row: u64,
    consumed: Arc<AtomicU64>,
}

impl YfccTable {
    pub(super) fn open(
        config: &YfccConfig,
        plan: &Plan,
        consumed: Arc<AtomicU64>,
    ) -> Result<Self, TableError> {
        let places = plan.locate(&config.dataset, &names())?;
        Ok(Self { reader: YfccReader::open(config)?, places, row: 0, consumed })
    }

    /// Position of the next row.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    /// At most so many rows, of the planned columns; `None` at the end.
    pub(super) fn read(&mut self, rows: u64) -> Result<Option<RecordBatch>, TableError> {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let Some(batch) = self.reader.next_batch(rows)? else { return Ok(None) };
        self.row += batch.num_rows() as u64;
        self.consumed.store(self.reader.bytes_read(), Ordering::Relaxed);
        Ok(Some(batch.project(&self.places).map_err(crate::yfcc::YfccError::from)?))
    }

    pub(super) fn skip(&mut self, rows: u64) -> Result<u64, TableError> {
        let skipped = self.reader.skip(usize::try_from(rows).unwrap_or(usize::MAX))? as u64;
        self.row += skipped;
        Ok(skipped)
    }

    pub(super) fn counters(&self) -> YfccCounters {
        self.reader.counters()
    }
}
