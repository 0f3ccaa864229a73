//! Parquet image shards: ours and img2dataset's (image bytes in a column `jpg`, `png` …), and Hugging Face's
//! (`image: struct<bytes, path>`). A row group of Parquet can only be read as a whole, and one of 1,000 photographs is
//! 100 MB, so a shard is unpacked once per opening, sequentially, into an unnamed file in which every row can be
//! reached. That costs a copy on disk (0.1 ms a row of 110 kB), a window's worth at a time, and no memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use pairmill_shards::guard::guarded;
use pairmill_shards::json::{Json, cell_to_json, dumps};
use pairmill_shards::parquet_file::{ParquetFault, ParquetFile, ParquetInput, ReadPlan};
use pairmill_shards::sample::{CAPTION_EXT, METADATA_EXT};
use pairmill_shards::table::{check_version, column, is_sidecar};

use crate::config::{CaptionFrom, DatasetConfig, LabelFrom};
use crate::error::LoaderError;
use crate::sample::RawSample;
use crate::skipped::BadReason;

/// Rows decoded at a time: each may hold a photograph.
const BATCH_ROWS: usize = 64;
/// What a shard may unpack to: this many times its own size, and a gigabyte whatever that is. Pictures do not shrink in
/// Parquet, but one of a dictionary may stand in a million rows.
const MAX_UNPACKED_RATIO: u64 = 16;
const FREE_UNPACKED_BYTES: u64 = 1 << 30;
/// Where captions are looked for when `txt` is asked for and no column of one caption is there.
const CAPTION_LISTS: &str = "captions";
/// Where class numbers are looked for when `cls` is asked for.
const LABEL_COLUMNS: [&str; 2] = ["cls", "label"];

/// The rows of an unpacked shard.
#[derive(Debug)]
pub(super) struct Rows {
    file: File,
    /// Extensions under which the four parts of a row are known.
    exts: [String; PARTS],
    /// Whether captions are lists of captions, kept as JSON.
    is_caption_list: bool,
    rows: Vec<Row>,
}

/// Image, caption, class number, metadata.
const PARTS: usize = 4;

#[derive(Debug)]
struct Row {
    key: Box<str>,
    offset: u64,
    /// Bytes of each part that the row has; they lie one behind the other from `offset`.
    parts: [Option<u32>; PARTS],
}

/// Rows that are samples: all, or those with status `success` of a sidecar.
pub(super) fn count(path: &Path) -> Result<usize, LoaderError> {
    let file = open(path)?;
    if !is_sidecar(&file) {
        return Ok(usize::try_from(file.num_rows()).unwrap_or(0));
    }
    let mut samples = 0;
    for_each_batch(path, &file, &[column::STATUS.to_owned()], |batch| {
        let status = text(path, batch, column::STATUS)?;
        samples += (0..batch.num_rows()).filter(|at| is_sample(&status, *at)).count();
        Ok(())
    })?;
    Ok(samples)
}

fn is_sample(status: &Option<ArrayRef>, at: usize) -> bool {
    status.as_ref().is_none_or(|s| !s.is_null(at) && s.as_string_view().value(at) == "success")
}

fn bad(path: &Path, problem: impl Into<String>) -> LoaderError {
    LoaderError::Parquet { path: path.to_owned(), problem: problem.into() }
}

fn of_fault(path: &Path, fault: ParquetFault) -> LoaderError {
    match fault {
        ParquetFault::Read(source) => LoaderError::File { path: path.to_owned(), action: "read", source },
        ParquetFault::Damaged(reason) => bad(path, format!("damaged Parquet: {reason}")),
        ParquetFault::Panic(reason) => {
            bad(path, format!("damaged Parquet: its pages contradict each other (the reader {reason})"))
        }
        fault => bad(path, fault.to_string()),
    }
}

fn open(path: &Path) -> Result<ParquetFile, LoaderError> {
    let input = ParquetInput::open(path).map_err(|source| LoaderError::File {
        path: path.to_owned(),
        action: "open",
        source,
    })?;
    let file = ParquetFile::open(input).map_err(|fault| of_fault(path, fault))?;
    check_version(path, file.metadata().file_metadata().key_value_metadata())?;
    Ok(file)
}

/// Batches of the columns named, texts and bytes as views.
fn for_each_batch(
    path: &Path,
    file: &ParquetFile,
    columns: &[String],
    mut each: impl FnMut(&RecordBatch) -> Result<(), LoaderError>,
) -> Result<(), LoaderError> {
    let fields = file.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| columns.contains(field.name())).map(|(at, _)| at).collect();
    let plan = ReadPlan { columns: Some(wanted), batch_rows: BATCH_ROWS, ..ReadPlan::default() };
    for batch in file.views(&plan).map_err(|fault| of_fault(path, fault))? {
        let batch = batch.map_err(|fault| of_fault(path, fault))?;
        guarded(|| each(&batch)).map_err(|panic| of_fault(path, ParquetFault::Panic(panic)))??;
    }
    Ok(())
}

fn as_type(
    path: &Path,
    batch: &RecordBatch,
    name: &str,
    to: &DataType,
) -> Result<Option<ArrayRef>, LoaderError> {
    let Some(array) = batch.column_by_name(name) else { return Ok(None) };
    let found = array.data_type();
    cast(array, to).map(Some).map_err(|_| bad(path, format!("column `{name}` is {found}, not {to}")))
}

fn is_list(kind: &DataType) -> bool {
    use DataType as D;
    matches!(kind, D::List(_) | D::LargeList(_) | D::FixedSizeList(..) | D::ListView(_) | D::LargeListView(_))
}

fn text(path: &Path, batch: &RecordBatch, name: &str) -> Result<Option<ArrayRef>, LoaderError> {
    as_type(path, batch, name, &DataType::Utf8View)
}

/// Which column feeds what.
#[derive(Debug, Default)]
struct Columns {
    key: Option<String>,
    image: String,
    /// Of a sidecar.
    status: Option<String>,
    caption: Option<String>,
    label: Option<String>,
    fields: Vec<String>,
    /// The whole `json` member, as Hugging Face makes a column of it.
    json: Option<String>,
}

impl Columns {
    fn choose(path: &Path, file: &ParquetFile, config: &DatasetConfig) -> Result<Self, LoaderError> {
        let schema = file.schema();
        let has = |name: &str| schema.field_with_name(name).is_ok();
        let first = |names: &[&str]| names.iter().find(|name| has(name)).map(|name| (*name).to_owned());
        let named = |name: &String| has(name).then(|| name.clone());
        let image = config.images.iter().find(|name| has(name)).cloned();
        let image =
            image.or_else(|| has(column::IMAGE).then(|| column::IMAGE.to_owned())).ok_or_else(|| {
                let seen: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                let wanted = config.images.join(", ");
                bad(path, format!("no image column ({wanted}, image); it has: {}", seen.join(", ")))
            })?;
        let status = is_sidecar(file).then(|| column::STATUS.to_owned());
        let mut columns = Self { key: first(&column::KEYS), image, status, ..Self::default() };
        match &config.caption {
            CaptionFrom::Member(ext) if ext == CAPTION_EXT => {
                columns.caption = first(&column::CAPTIONS).or_else(|| first(&[CAPTION_LISTS]));
            }
            CaptionFrom::Member(ext) => columns.caption = named(ext),
            CaptionFrom::Json(field) => columns.field(field, &named),
            CaptionFrom::Nowhere => {}
        }
        match &config.label {
            LabelFrom::Member(ext) if ext == "cls" => columns.label = first(&LABEL_COLUMNS),
            LabelFrom::Member(ext) => columns.label = named(ext),
            LabelFrom::Json(field) => columns.field(field, &named),
            LabelFrom::Nowhere => {}
        }
        Ok(columns)
    }

    /// Where the field of a `json` member is: a column of its own, or in a column `json`.
    fn field(&mut self, field: &str, named: &dyn Fn(&String) -> Option<String>) {
        match named(&field.to_owned()) {
            Some(column) => self.fields.push(column),
            None => self.json = named(&METADATA_EXT.to_owned()),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![self.image.clone()];
        let columns = [&self.status, &self.key, &self.caption, &self.label, &self.json];
        names.extend(columns.into_iter().flatten().chain(&self.fields).cloned());
        names
    }
}

impl Rows {
    /// Reads the whole shard once.
    pub fn unpack(path: &Path, config: &DatasetConfig) -> Result<Self, LoaderError> {
        let shard = open(path)?;
        let columns = Columns::choose(path, &shard, config)?;
        let scratch = config.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let failed = |action| {
            let path = scratch.clone();
            move |source| LoaderError::File { path, action, source }
        };
        let file = tempfile::tempfile_in(&scratch).map_err(failed("make a temporary file in"))?;
        let mut unpacking = Unpacking { out: BufWriter::new(file), end: 0, rows: Vec::new(), row: 0 };
        let size = std::fs::metadata(path).map_or(0, |found| found.len());
        let limit = size.saturating_mul(MAX_UNPACKED_RATIO).saturating_add(FREE_UNPACKED_BYTES);
        for_each_batch(path, &shard, &columns.names(), |batch| {
            let parts = Parts::of(path, batch, &columns)?;
            unpacking.batch(&parts).map_err(failed("write a temporary file in"))?;
            if unpacking.end > limit {
                let rows = unpacking.row;
                return Err(bad(
                    path,
                    format!(
                        "its first {rows} rows unpack to {} bytes, far more than the file's {size}",
                        unpacking.end
                    ),
                ));
            }
            Ok(())
        })?;
        let Unpacking { out, rows, .. } = unpacking;
        let caption_column =
            columns.caption.as_ref().and_then(|name| shard.schema().field_with_name(name).ok());
        let is_caption_list = caption_column.is_some_and(|field| is_list(field.data_type()));
        let unwritten = failed("write a temporary file in");
        let file = out.into_inner().map_err(|error| unwritten(error.into_error()))?;
        let caption = match &config.caption {
            CaptionFrom::Member(ext) => ext.clone(),
            _ => CAPTION_EXT.to_owned(),
        };
        let label = match &config.label {
            LabelFrom::Member(ext) => ext.clone(),
            _ => LABEL_COLUMNS[0].to_owned(),
        };
        let image = config.images.first().cloned().unwrap_or_default();
        Ok(Self { file, exts: [image, caption, label, METADATA_EXT.to_owned()], is_caption_list, rows })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn read<'a>(&'a self, at: usize, scratch: &'a mut Vec<u8>) -> Result<RawSample<'a>, BadReason> {
        let row = self.rows.get(at).ok_or_else(|| BadReason::Read(format!("no row {at}")))?;
        scratch.resize(row.parts.iter().flatten().map(|len| *len as usize).sum(), 0);
        self.file.read_exact_at(scratch, row.offset).map_err(|e| BadReason::Read(e.to_string()))?;
        let mut rest: &[u8] = scratch;
        let mut members = Vec::with_capacity(PARTS);
        for (ext, len) in self.exts.iter().zip(row.parts) {
            let Some(len) = len else { continue };
            let (bytes, behind) = rest.split_at((len as usize).min(rest.len()));
            members.push((ext.as_str(), bytes));
            rest = behind;
        }
        let is_caption_list = self.is_caption_list;
        Ok(RawSample { key: Cow::Borrowed(&row.key), members, is_caption_list, problem: None })
    }
}

/// The columns of one batch.
struct Parts {
    num_rows: usize,
    status: Option<ArrayRef>,
    key: Option<ArrayRef>,
    image: ArrayRef,
    caption: Option<ArrayRef>,
    label: Option<ArrayRef>,
    fields: Vec<(String, ArrayRef)>,
    json: Option<ArrayRef>,
}

impl Parts {
    fn of(path: &Path, batch: &RecordBatch, columns: &Columns) -> Result<Self, LoaderError> {
        let texts = |name: &Option<String>| match name {
            Some(name) => text(path, batch, name),
            None => Ok(None),
        };
        let label = match &columns.label {
            Some(name) => as_type(path, batch, name, &DataType::Int64)?,
            None => None,
        };
        let mut fields = Vec::new();
        for name in &columns.fields {
            let Some(array) = batch.column_by_name(name) else { continue };
            let values = match array.data_type() {
                DataType::Dictionary(_, values) => values,
                plain => plain,
            };
            if is_list(values) {
                fields.push((name.clone(), array.clone()));
                continue;
            }
            let kind = if values.is_integer() { DataType::Int64 } else { DataType::Utf8View };
            fields.extend(as_type(path, batch, name, &kind)?.map(|array| (name.clone(), array)));
        }
        let image =
            batch.column_by_name(&columns.image).ok_or_else(|| bad(path, "the image column is gone"))?;
        let image = match image.as_struct_opt() {
            Some(inner) => inner.column_by_name("bytes").ok_or_else(|| {
                bad(path, format!("column `{}` is a struct without `bytes`", columns.image))
            })?,
            None => image,
        };
        let image = cast(image, &DataType::BinaryView).map_err(|_| {
            bad(path, format!("column `{}` is {}, not bytes", columns.image, image.data_type()))
        })?;
        Ok(Self {
            num_rows: batch.num_rows(),
            status: texts(&columns.status)?,
            key: texts(&columns.key)?,
            image,
            caption: match columns.caption.as_ref().and_then(|name| batch.column_by_name(name)) {
                Some(lists) if is_list(lists.data_type()) => Some(lists.clone()),
                _ => texts(&columns.caption)?,
            },
            label,
            fields,
            json: columns.json.as_ref().and_then(|name| batch.column_by_name(name)).cloned(),
        })
    }

    fn text(column: &Option<ArrayRef>, at: usize) -> Option<&str> {
        let column = column.as_ref().filter(|c| !c.is_null(at))?;
        Some(column.as_string_view().value(at))
    }

    /// The caption; several of them as a list in JSON.
    fn caption(&self, at: usize) -> Option<Cow<'_, str>> {
        let column = self.caption.as_ref().filter(|column| !column.is_null(at))?;
        match is_list(column.data_type()) {
            true => Some(dumps(&cell_to_json(column, at)).into()),
            false => Some(column.as_string_view().value(at).into()),
        }
    }

    /// The fields that are asked for, as the JSON object a tar would hold.
    fn metadata(&self, at: usize) -> Option<String> {
        let mut object = serde_json::Map::new();
        if let Some(json) = &self.json {
            let cell = match cell_to_json(json, at) {
                Json::Null => return None,
                Json::Str(text) => text,
                object => dumps(&object),
            };
            // With fields in columns of their own besides, both are asked for.
            match serde_json::from_str(&cell) {
                Ok(fields) if !self.fields.is_empty() => object = fields,
                _ => return Some(cell),
            }
        }
        for (name, array) in self.fields.iter().filter(|(_, array)| !array.is_null(at)) {
            let value = match array.data_type() {
                DataType::Int64 => array.as_primitive::<Int64Type>().value(at).into(),
                kind if is_list(kind) => {
                    serde_json::from_str(&dumps(&cell_to_json(array, at))).unwrap_or_default()
                }
                _ => array.as_string_view().value(at).into(),
            };
            object.insert(name.clone(), value);
        }
        (!self.fields.is_empty()).then(|| serde_json::Value::Object(object).to_string())
    }
}

/// A shard on its way into the unnamed file.
struct Unpacking {
    out: BufWriter<File>,
    end: u64,
    rows: Vec<Row>,
    /// Row in the shard, failed ones counted.
    row: u64,
}

impl Unpacking {
    fn batch(&mut self, batch: &Parts) -> std::io::Result<()> {
        for at in 0..batch.num_rows {
            let row = self.row;
            self.row += 1;
            if !is_sample(&batch.status, at) {
                continue;
            }
            let image = (!batch.image.is_null(at)).then(|| batch.image.as_binary_view().value(at));
            let label = batch.label.as_ref().filter(|l| !l.is_null(at));
            let label = label.map(|l| l.as_primitive::<Int64Type>().value(at).to_string());
            let metadata = batch.metadata(at);
            let caption = batch.caption(at);
            let texts = [caption.as_deref(), label.as_deref(), metadata.as_deref()];
            let [caption, label, metadata] = texts.map(|text| text.map(str::as_bytes));
            let parts = [image, caption, label, metadata];
            let key = Parts::text(&batch.key, at).map_or_else(|| format!("row {row}"), str::to_owned);
            let offset = self.end;
            for part in parts.into_iter().flatten() {
                self.out.write_all(part)?;
                self.end += part.len() as u64;
            }
            // A cell of Parquet is below 2 GiB.
            let parts = parts.map(|part| part.map(|bytes| bytes.len() as u32));
            self.rows.push(Row { key: key.into(), offset, parts });
        }
        Ok(())
    }
}
