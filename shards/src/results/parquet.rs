//! Result rows as Parquet, the form the trainer writes: every column of a row, one row per (run, metric). The bytes
//! depend on the rows and their order alone.

use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::Compression;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use bytes::Bytes;

use super::{ResultRow, ResultsError, RunConfig};
use crate::parquet_file::{ParquetFault, ParquetFile, ParquetInput, ReadPlan};

/// Version of the result rows this crate writes (FORMAT.md, version table).
pub const RESULTS_VERSION: u32 = 2;
const VERSION_KEY: &str = "pairmill.results_version";
/// Rows decoded at a time.
const BATCH_ROWS: usize = 1_024;

/// Which versions have a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    /// All of them.
    All,
    /// Version 1 alone.
    First,
    /// Version 2.
    Second,
}

/// Name, type, whether a cell may be null, and the versions that have it, in order.
const COLUMNS: [(&str, DataType, bool, Has); 32] = [
    ("run", DataType::Utf8, false, Has::All),
    ("protocol", DataType::Utf8, false, Has::All),
    ("selection", DataType::Utf8, false, Has::All),
    ("loss", DataType::Utf8, false, Has::First),
    ("objective", DataType::Utf8, false, Has::Second),
    ("method", DataType::Utf8, false, Has::Second),
    ("alpha", DataType::Float64, true, Has::Second),
    ("arch", DataType::Utf8, false, Has::All),
    ("us", DataType::Utf8, false, Has::All),
    ("ds", DataType::Utf8, false, Has::All),
    ("us_epochs", DataType::Int64, true, Has::All),
    ("us_lr", DataType::Float64, true, Has::All),
    ("us_bs", DataType::Int64, true, Has::All),
    ("us_wd", DataType::Float64, true, Has::All),
    ("ds_epochs", DataType::Int64, true, Has::All),
    ("ds_lr", DataType::Float64, true, Has::All),
    ("ds_bs", DataType::Int64, true, Has::All),
    ("ds_wd", DataType::Float64, true, Has::All),
    ("weights", DataType::Utf8, true, Has::Second),
    ("images", DataType::Utf8, true, Has::Second),
    ("setup", DataType::Utf8, true, Has::Second),
    ("shots", DataType::Utf8, false, Has::All),
    ("seed", DataType::Int64, true, Has::All),
    ("split", DataType::Utf8, false, Has::All),
    ("metric", DataType::Utf8, false, Has::All),
    ("value", DataType::Float64, false, Has::All),
    ("num_test", DataType::Int64, true, Has::All),
    ("view", DataType::Utf8, true, Has::Second),
    ("converged", DataType::Boolean, true, Has::Second),
    ("versions", DataType::Utf8, false, Has::All),
    ("wall_s", DataType::Float64, true, Has::All),
    ("device_s", DataType::Float64, true, Has::All),
];

/// The columns of a version.
fn columns(version: Has) -> impl Iterator<Item = &'static (&'static str, DataType, bool, Has)> {
    COLUMNS.iter().filter(move |(.., has)| *has == Has::All || *has == version)
}

fn schema() -> Arc<Schema> {
    let fields = columns(Has::Second).map(|(name, kind, null, _)| Field::new(*name, kind.clone(), *null));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows as the bytes of a Parquet file.
///
/// # Errors
/// When a row breaks the format (a blank name, a percentage above 100), or the writer fails.
pub fn write_parquet(rows: &[ResultRow]) -> Result<Vec<u8>, ResultsError> {
    for (row, at) in rows.iter().zip(0u64..) {
        if let Some((column, problem)) = row.problem() {
            let problem = format!("column `{column}`: {problem}");
            return Err(ResultsError::Row { path: "results to write".into(), row: at, problem });
        }
    }
    let text = |get: &dyn Fn(&ResultRow) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|r| Some(get(r))).collect::<StringArray>())
    };
    let some_text = |get: &dyn Fn(&ResultRow) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(get).collect::<StringArray>())
    };
    let flag = |get: &dyn Fn(&ResultRow) -> Option<bool>| -> ArrayRef {
        Arc::new(rows.iter().map(get).collect::<BooleanArray>())
    };
    let int = |get: &dyn Fn(&ResultRow) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(|r| get(r).and_then(|n| i64::try_from(n).ok())).collect::<Int64Array>())
    };
    let float = |get: &dyn Fn(&ResultRow) -> Option<f64>| -> ArrayRef {
        Arc::new(rows.iter().map(get).collect::<Float64Array>())
    };
    let columns = vec![
        text(&|r| r.run.clone()),
        text(&|r| r.protocol.to_string()),
        text(&|r| r.selection.to_string()),
        text(&|r| r.config.objective.clone()),
        text(&|r| r.config.method.to_string()),
        float(&|r| r.config.alpha),
        text(&|r| r.config.arch.clone()),
        text(&|r| r.config.us.clone()),
        text(&|r| r.config.ds.clone()),
        int(&|r| r.config.us_epochs.map(u64::from)),
        float(&|r| r.config.us_lr),
        int(&|r| r.config.us_bs.map(u64::from)),
        float(&|r| r.config.us_wd),
        int(&|r| r.config.ds_epochs.map(u64::from)),
        float(&|r| r.config.ds_lr),
        int(&|r| r.config.ds_bs.map(u64::from)),
        float(&|r| r.config.ds_wd),
        some_text(&|r| r.config.weights.clone()),
        some_text(&|r| r.config.images.clone()),
        some_text(&|r| r.config.setup.clone()),
        text(&|r| r.shots.to_string()),
        int(&|r| r.seed),
        text(&|r| r.split.to_string()),
        text(&|r| r.metric.clone()),
        float(&|r| Some(r.value)),
        int(&|r| r.num_test),
        some_text(&|r| r.view.map(|view| view.to_string())),
        flag(&|r| r.converged),
        text(&|r| r.versions.clone()),
        float(&|r| r.wall_s),
        float(&|r| r.device_s),
    ];
    let batch = RecordBatch::try_new(schema(), columns)?;
    let properties = WriterProperties::builder()
        .set_created_by(format!("pairmill version {RESULTS_VERSION}.0.0 (build results)"))
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            VERSION_KEY.to_owned(),
            RESULTS_VERSION.to_string(),
        )]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// Reads the bytes of a Parquet file of result rows; `path` is for messages.
///
/// # Errors
/// When it is no Parquet, of a newer version, has a column missing, unknown or of another type, or a cell breaks the
/// format; the message names the row and the column.
pub fn read_parquet(path: &Path, bytes: Bytes) -> Result<Vec<ResultRow>, ResultsError> {
    let corrupt =
        |fault: ParquetFault| ResultsError::Corrupt { path: path.to_owned(), reason: fault.to_string() };
    let file = ParquetFile::open(ParquetInput::memory(bytes)).map_err(corrupt)?;
    check_version(path, file.metadata().file_metadata().key_value_metadata())?;
    check_schema(path, file.schema())?;
    let mut rows = Vec::new();
    for batch in file.batches(&ReadPlan { batch_rows: BATCH_ROWS, ..ReadPlan::default() }).map_err(corrupt)? {
        let batch = &batch.map_err(corrupt)?;
        for at in 0..batch.num_rows() {
            let number = rows.len() as u64;
            let problem = |problem| ResultsError::Row { path: path.to_owned(), row: number, problem };
            let row = Cells { batch, at }.row().map_err(problem)?;
            if let Some((column, what)) = row.problem() {
                return Err(problem(format!("column `{column}`: {what}")));
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Files without a version are taken for the first; their columns are checked all the same.
fn check_version(path: &Path, metadata: Option<&Vec<KeyValue>>) -> Result<(), ResultsError> {
    let entry = metadata.and_then(|m| m.iter().find(|e| e.key == VERSION_KEY));
    let Some(version) = entry.and_then(|e| e.value.as_deref()) else { return Ok(()) };
    match version.parse::<u32>() {
        Ok(v) if v <= RESULTS_VERSION => Ok(()),
        _ => Err(ResultsError::Header {
            path: path.to_owned(),
            problem: format!(
                "format version `{version}`, but this Pairmill reads up to {RESULTS_VERSION}; update it"
            ),
        }),
    }
}

/// A file of the first version is told by its column `loss`: tools that rewrite a file lose its metadata.
fn check_schema(path: &Path, found: &Schema) -> Result<(), ResultsError> {
    let header = |problem| Err(ResultsError::Header { path: path.to_owned(), problem });
    let has = |name: &str| found.field_with_name(name).is_ok();
    let version = if has("loss") && !has("objective") { Has::First } else { Has::Second };
    for (name, kind, ..) in columns(version) {
        match found.field_with_name(name) {
            Err(_) => {
                return header(format!(
                    "no column `{name}`; is this a table of result rows (FORMAT.md §10)?"
                ));
            }
            Ok(field) if field.data_type() != kind => {
                return header(format!("column `{name}` is {}, not {kind}; cast it", field.data_type()));
            }
            Ok(_) => {}
        }
    }
    for field in found.fields() {
        if !columns(version).any(|(name, ..)| name == field.name()) {
            return header(format!(
                "unknown column `{}`; drop it, or read the file with the Pairmill that wrote it",
                field.name()
            ));
        }
    }
    Ok(())
}

/// A cell's problem with its column.
fn named(column: &str) -> impl Fn(String) -> String + '_ {
    move |problem| format!("column `{column}`: {problem}")
}

/// One row of a batch whose schema was checked.
struct Cells<'a> {
    batch: &'a RecordBatch,
    at: usize,
}

impl Cells<'_> {
    fn row(&self) -> Result<ResultRow, String> {
        Ok(ResultRow {
            run: self.text("run")?,
            protocol: self.word("protocol")?,
            selection: self.word("selection")?,
            config: RunConfig {
                weights: self.some_text("weights"),
                images: self.some_text("images"),
                setup: self.some_text("setup"),
                arch: self.text("arch")?,
                us: self.text("us")?,
                ds: self.text("ds")?,
                us_epochs: self.small("us_epochs")?,
                us_lr: self.float("us_lr"),
                us_bs: self.small("us_bs")?,
                us_wd: self.float("us_wd"),
                ds_epochs: self.small("ds_epochs")?,
                ds_lr: self.float("ds_lr"),
                ds_bs: self.small("ds_bs")?,
                ds_wd: self.float("ds_wd"),
                ..self.method()?
            },
            shots: self.word("shots")?,
            seed: self.int("seed")?,
            split: self.word("split")?,
            metric: self.text("metric")?,
            value: self.float("value").ok_or("column `value`: null; leave the row out or write NaN")?,
            num_test: self.int("num_test")?,
            view: self.some_text("view").map(|word| word.parse()).transpose().map_err(named("view"))?,
            converged: self.column("converged").and_then(|a| a.as_boolean_opt()).map(|a| a.value(self.at)),
            versions: self.text("versions")?,
            wall_s: self.float("wall_s"),
            device_s: self.float("device_s"),
        })
    }

    /// Objective, method and alpha, of their columns or of the one that the first version had.
    fn method(&self) -> Result<RunConfig, String> {
        if self.batch.column_by_name("objective").is_none() {
            return Ok(RunConfig::of_loss(&self.text("loss")?));
        }
        Ok(RunConfig {
            objective: self.text("objective")?,
            method: self.word("method")?,
            alpha: self.float("alpha"),
            ..RunConfig::default()
        })
    }

    fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.batch.column_by_name(name).filter(|array| array.is_valid(self.at))
    }

    fn some_text(&self, name: &str) -> Option<String> {
        let array = self.column(name).and_then(|a| a.as_string_opt::<i32>());
        array.map(|a| a.value(self.at).to_owned())
    }

    fn text(&self, name: &str) -> Result<String, String> {
        self.some_text(name).ok_or_else(|| format!("column `{name}`: null"))
    }

    fn word<T: std::str::FromStr<Err = String>>(&self, name: &str) -> Result<T, String> {
        self.text(name)?.parse().map_err(named(name))
    }

    fn int(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(array) = self.column(name).and_then(|a| a.as_primitive_opt::<Int64Type>()) else {
            return Ok(None);
        };
        let number = array.value(self.at);
        u64::try_from(number).map(Some).map_err(|_| format!("column `{name}`: {number} is negative"))
    }

    fn small(&self, name: &str) -> Result<Option<u32>, String> {
        match self.int(name)? {
            None => Ok(None),
            Some(n) => u32::try_from(n).map(Some).map_err(|_| format!("column `{name}`: {n} is too large")),
        }
    }

    fn float(&self, name: &str) -> Option<f64> {
        self.column(name).and_then(|a| a.as_primitive_opt::<Float64Type>()).map(|a| a.value(self.at))
    }
}
