//! One shard's table: its rows against the rules, and what its images must look like.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use super::finding::{Findings, Place, Rule};
use super::{Depth, Retries, images};
use crate::folder::ShardFiles;
use crate::json::{Json, cell_to_json, cell_to_text, dumps_indented};
use crate::status::{FailureClass, Status};
use crate::table::{
    HashKind, RowColumns, Rows, SidecarReader, SidecarRow, TableError, VERSION_KEY, column, final_url,
    message,
};

/// Rows decoded at a time when images come with them.
const IMAGE_BATCH_ROWS: usize = 16;

/// What a success's members must be.
#[derive(Debug)]
pub(super) struct Expected {
    pub key: String,
    /// Text of the `json` member.
    pub json: String,
    /// Text of the `txt` member; `None` without captions, or where Python's text of a nested one is not known.
    pub text: Option<String>,
    pub width: Option<i32>,
    pub height: Option<i32>,
    /// Kind and hex digest of the hash column.
    pub hash: Option<(HashKind, String)>,
}

/// Everything the other checks need to know of a table.
#[derive(Debug, Default)]
pub(super) struct TableReport {
    pub is_ours: bool,
    pub has_caption: bool,
    pub num_rows: u64,
    pub by_status: BTreeMap<Status, u64>,
    pub by_class: BTreeMap<FailureClass, u64>,
    pub by_message: BTreeMap<String, u64>,
    /// Successes in table order.
    pub expected: Vec<Expected>,
    /// The images are in the table.
    pub has_images: bool,
    /// The keys are proven to be this shard's own.
    pub keys_are_own: bool,
}

/// The typed rows of the table at `path`.
pub(super) fn rows_of(path: &Path) -> Result<Rows, TableError> {
    SidecarReader::open(path)?.rows(RowColumns::Account)
}

/// Checks the table at `path`. `None` when it cannot be read at all.
pub(super) fn check(
    files: &ShardFiles,
    path: &Path,
    depth: Depth,
    findings: &mut Findings,
    retries: &mut Retries,
) -> Option<TableReport> {
    let unreadable = |findings: &mut Findings, error: &TableError| {
        if let TableError::Version { .. } = error {
            return findings.add_error(Rule::Version, path, Place::File, error);
        }
        let place = if let TableError::Cell { row, .. } = error { Place::Row(*row) } else { Place::File };
        findings.add_error(Rule::TableReadable, path, place, error);
    };
    let reader = match SidecarReader::open(path) {
        Ok(reader) => reader,
        Err(error) => {
            unreadable(findings, &error);
            return None;
        }
    };
    let version = reader.key_value(VERSION_KEY);
    for name in [column::ERROR_MESSAGE, column::WIDTH, column::HEIGHT, column::URL] {
        if !reader.has_column(name) {
            findings.add(Rule::TableReadable, path, Place::File, format!("no column `{name}`"));
        }
    }
    let mut report = TableReport {
        is_ours: version.is_some(),
        has_caption: reader.has_column(column::CAPTION),
        keys_are_own: true,
        ..TableReport::default()
    };
    let has_class = reader.has_column(column::FAILURE_CLASS);
    let whole_urls = reader.has_whole_final_urls();
    let rows = match reader.rows(RowColumns::All) {
        Ok(rows) => rows,
        Err(error) => {
            unreadable(findings, &error);
            return None;
        }
    };
    let mut keys = KeyRule::new(files, report.is_ours);
    for (at, row) in (0..).zip(rows) {
        report.num_rows += 1;
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                unreadable(findings, &error);
                report.keys_are_own = false;
                continue;
            }
        };
        if let Err(problem) = keys.check(&row.key, at) {
            findings.add(Rule::RowKey, path, Place::Row(at), problem);
            report.keys_are_own = false;
        }
        for problem in status_problems(&row, has_class) {
            findings.add(Rule::RowStatus, path, Place::Row(at), problem);
        }
        // Another tool's table has its own texts.
        if report.is_ours && has_class {
            for problem in indiscretions(&row, whole_urls) {
                findings.add(Rule::Discreet, path, Place::Row(at), problem);
            }
        }
        *report.by_status.entry(row.status).or_insert(0) += 1;
        if let Some(class) = row.failure_class {
            *report.by_class.entry(class).or_insert(0) += 1;
        }
        let message = row.error_message.unwrap_or_else(|| row.status.as_str().to_owned());
        // As the stats count it.
        *report.by_message.entry(message::bounded(&message).into_owned()).or_insert(0) += 1;
        if let Some(superseded) = row.retry_of {
            retries.claims.push((superseded, path.to_owned(), at));
        }
    }
    retries.tables.push(path.to_owned());
    if report.num_rows != reader.num_rows() {
        let problem =
            format!("the footer promises {} rows, {} could be read", reader.num_rows(), report.num_rows);
        findings.add(Rule::TableReadable, path, Place::File, problem);
    }
    check_cells(path, &reader, depth, findings, &mut report);
    Some(report)
}

/// Rows may only have keys of their shard, and ours only the one of their place.
struct KeyRule<'a> {
    files: &'a ShardFiles,
    in_order: bool,
    seen: std::collections::HashSet<u64>,
}

impl<'a> KeyRule<'a> {
    fn new(files: &'a ShardFiles, in_order: bool) -> Self {
        Self { files, in_order, seen: std::collections::HashSet::new() }
    }

    fn check(&mut self, key: &str, row: u64) -> Result<(), String> {
        let name = &self.files.name;
        let digits = key.len().checked_sub(name.len()).and_then(|d| u32::try_from(d).ok());
        let number: Option<u128> =
            key.bytes().all(|b| b.is_ascii_digit()).then(|| key.parse().ok()).flatten();
        let (Some(digits), Some(number)) = (digits.filter(|d| *d <= 19), number) else {
            return Err(format!("key `{key}` is not shard {name} followed by an index"));
        };
        let step = 10u128.pow(digits);
        if number / step != u128::from(self.files.id.0) {
            return Err(format!("key `{key}` belongs to another shard than {name}"));
        }
        let index = u64::try_from(number % step).unwrap_or(u64::MAX);
        if !self.seen.insert(index) {
            return Err(format!("key `{key}` appears twice"));
        }
        if self.in_order && index != row {
            return Err(format!("key `{key}` stands where index {row} belongs"));
        }
        Ok(())
    }
}

/// What contradicts itself in a row.
fn status_problems(row: &SidecarRow, has_class: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if row.status == Status::Success {
        if let Some(message) = &row.error_message {
            problems.push(format!("a success with the message `{message}`"));
        }
        if let Some(class) = row.failure_class {
            problems.push(format!("a success of failure class {class}"));
        }
        let sizes = [row.width, row.height, row.original_width, row.original_height];
        // All null: kept as it came, never decoded.
        if sizes.iter().any(Option::is_none) && sizes.iter().any(Option::is_some) {
            problems.push("some of the four sizes are null and some are not".to_owned());
        }
        if sizes.into_iter().flatten().any(|pixels| pixels < 1) {
            problems.push("a size below 1 pixel".to_owned());
        }
        return problems;
    }
    if row.error_message.is_none() {
        problems.push("a failure without a message".to_owned());
    }
    // A derived class may sit in either status (a body cut short, say); a written one has its own.
    if let Some(class) = row.failure_class.filter(|class| has_class && class.status() != row.status) {
        problems.push(format!("failure class {class} goes with {}, not with {}", class.status(), row.status));
    }
    problems
}

/// What of the network a row tells that no table should.
fn indiscretions(row: &SidecarRow, whole_urls: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if let (Some(class), Some(text)) = (row.failure_class, &row.error_message)
        && !message::is_listed(class, text)
    {
        problems.push(format!("`{}` is not a message of {class}", message::bounded(text)));
    }
    // The address itself is what must not be repeated.
    let problem = row.final_url.as_deref().and_then(|url| final_url::problem(url, whole_urls));
    problems.extend(problem.map(|problem| format!("`final_url` is {problem}")));
    problems
}

/// Reads all columns: collects what the members must be, and checks images in the table.
fn check_cells(
    path: &Path,
    reader: &SidecarReader,
    depth: Depth,
    findings: &mut Findings,
    report: &mut TableReport,
) {
    let names: Vec<String> = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
    let image_at = names.iter().position(|name| is_image_column(name, reader));
    report.has_images = image_at.is_some();
    let batch_rows = if report.has_images { IMAGE_BATCH_ROWS } else { 1_000 };
    // A damage that the typed rows did not meet is in another column.
    let batches = match reader.batches_of(None, batch_rows) {
        Ok(batches) => batches,
        Err(error) => return findings.add_error(Rule::TableReadable, path, Place::File, error),
    };
    let mut row = 0u64;
    for batch in batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return findings.add_error(Rule::TableReadable, path, Place::File, error),
        };
        let layout = CellLayout::new(&batch, report.has_caption);
        for at in 0..batch.num_rows() {
            let text = |name| batch.column_by_name(name).and_then(|c| cell_to_text(c, at));
            let success = text(column::STATUS).as_deref() == Some(Status::Success.as_str());
            let expected = success.then(|| layout.expected(&batch, at));
            if let Some((kind, hash)) = expected.as_ref().and_then(|e| e.hash.as_ref()) {
                let is_hex = hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if depth.hashes && !(is_hex && hash.len() == kind.hex_digest(b"").len()) {
                    findings.add(Rule::Hash, path, Place::Row(row), format!("`{hash}` is no {kind}"));
                }
            }
            if let Some(image_at) = image_at {
                let image = image_bytes(batch.column(image_at), at);
                match (&expected, image) {
                    (Some(expected), Some(bytes)) => {
                        let ext = image_ext(&names[image_at], batch.column(image_at), at);
                        for (rule, problem) in images::problems(bytes, ext.as_deref(), expected, depth) {
                            findings.add(rule, path, Place::Row(row), problem);
                        }
                    }
                    (Some(_), None) => {
                        findings.add(Rule::ImageColumn, path, Place::Row(row), "a success without an image")
                    }
                    (None, Some(_)) => {
                        findings.add(Rule::ImageColumn, path, Place::Row(row), "a failure with an image")
                    }
                    (None, None) => {}
                }
            } else {
                report.expected.extend(expected);
            }
            row += 1;
        }
    }
}

/// The columns that make up a sample's JSON, in its order.
struct CellLayout {
    json_columns: Vec<usize>,
    caption: Option<usize>,
    hash: Option<(HashKind, usize)>,
}

impl CellLayout {
    fn new(batch: &RecordBatch, has_caption: bool) -> Self {
        let schema = batch.schema();
        let at = |name: &str| schema.index_of(name).ok();
        let key_at = at(column::KEY).unwrap_or(0);
        // img2dataset knows one hash column; an additional column cannot have such a name.
        let hash = HashKind::ALL.into_iter().find_map(|kind| at(kind.as_str()).map(|i| (kind, i)));
        let mut json_columns: Vec<usize> =
            (0..key_at).filter(|i| hash.is_none_or(|(_, h)| h != *i)).collect();
        let fixed = [
            column::KEY,
            column::STATUS,
            column::ERROR_MESSAGE,
            column::WIDTH,
            column::HEIGHT,
            column::ORIGINAL_WIDTH,
            column::ORIGINAL_HEIGHT,
            column::EXIF,
        ];
        json_columns.extend(fixed.into_iter().filter_map(at));
        json_columns.extend(hash.map(|(_, i)| i));
        Self { json_columns, caption: at(column::CAPTION).filter(|_| has_caption), hash }
    }

    fn expected(&self, batch: &RecordBatch, row: usize) -> Expected {
        let schema = batch.schema();
        let fields = self
            .json_columns
            .iter()
            .map(|&i| (schema.field(i).name().clone(), cell_to_json(batch.column(i), row)));
        let number = |name| match batch.column_by_name(name).map(|c| cell_to_json(c, row)) {
            Some(Json::Int(n)) => i32::try_from(n).ok(),
            _ => None,
        };
        let caption = self.caption.map(|i| batch.column(i)).filter(|c| !c.data_type().is_nested());
        Expected {
            key: batch.column_by_name(column::KEY).and_then(|c| cell_to_text(c, row)).unwrap_or_default(),
            json: dumps_indented(&Json::Object(fields.collect())),
            text: caption.map(|c| cell_to_text(c, row).unwrap_or_default()),
            width: number(column::WIDTH),
            height: number(column::HEIGHT),
            hash: self.hash.and_then(|(kind, i)| cell_to_text(batch.column(i), row).map(|hash| (kind, hash))),
        }
    }
}

/// The last column when it holds images: binary under a format's name, or Hugging Face's struct.
fn is_image_column(name: &str, reader: &SidecarReader) -> bool {
    let Ok(field) = reader.schema().field_with_name(name) else { return false };
    let is_last = reader.schema().fields().last().is_some_and(|last| last.name() == name);
    let binary = |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    is_last
        && match field.data_type() {
            DataType::Struct(fields) => fields.iter().any(|f| f.name() == "bytes" && binary(f.data_type())),
            other => binary(other) && ["jpg", "png", "webp"].contains(&name),
        }
}

/// The encoded image in a cell of either form.
fn image_bytes(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Struct(_) => image_bytes(column.as_struct().column_by_name("bytes")?, row),
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => Some(column.as_binary_view().value(row)),
        _ => None,
    }
}

/// The format an image in the table claims to be: the column's name, or the end of the struct's path.
fn image_ext(name: &str, column: &ArrayRef, row: usize) -> Option<String> {
    let Some(columns) = column.as_struct_opt() else { return Some(name.to_owned()) };
    let path = cell_to_text(columns.column_by_name("path")?, row)?;
    path.rsplit_once('.').map(|(_, ext)| ext.to_owned())
}
