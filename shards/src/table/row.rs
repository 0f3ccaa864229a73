//! What the pipeline knows of one row once it is done, and the `json` member made from it (FORMAT.md §3).

use arrow::array::RecordBatch;

use super::{SidecarSchema, column};
use crate::json::{Json, cell_to_json, dumps_indented};
use crate::key::Key;
use crate::status::{Failure, FailureClass, Status};

/// Sizes of an image in pixels. All are `None` when nothing was decoded (`disable_all_reencoding`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageSize {
    /// After the resize.
    pub width: Option<u32>,
    /// After the resize.
    pub height: Option<u32>,
    /// As downloaded.
    pub original_width: Option<u32>,
    /// As downloaded.
    pub original_height: Option<u32>,
}

/// The end of one input row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOutcome {
    /// The row's key, also when it failed.
    pub key: Key,
    /// The image's sizes, or why there is none.
    pub result: Result<ImageSize, Failure>,
    /// EXIF tags as one-line JSON; `None` where they could not be read.
    pub exif: Option<String>,
    /// Hex hash of the bytes as downloaded. `None` for failures.
    pub hash: Option<String>,
    /// Where redirects ended; `None` when that is the row's own URL.
    pub final_url: Option<String>,
    /// Requests made, 0 when none was.
    pub attempts: u32,
    /// Key of the row this one supersedes, in shards made by `retry`.
    pub retry_of: Option<String>,
}

impl RowOutcome {
    /// img2dataset's status.
    pub fn status(&self) -> Status {
        self.result.as_ref().map_or_else(|failure| failure.class.status(), |_| Status::Success)
    }

    /// The sizes of a success.
    pub fn size(&self) -> ImageSize {
        self.result.as_ref().copied().unwrap_or_default()
    }

    /// Message of a failure.
    pub fn error_message(&self) -> Option<&str> {
        self.result.as_ref().err().map(|f| f.message.as_str())
    }

    /// Class of a failure.
    pub fn failure_class(&self) -> Option<FailureClass> {
        self.result.as_ref().err().map(|f| f.class)
    }
}

/// The `json` member of row `row` of `rows` (whose columns are the schema's reader columns): `json.dumps(indent=4)`
/// of the fields in FORMAT.md §3's order. The verify-hash column gives way to the computed hash at the end. A column
/// that `rows` lacks reads null.
pub fn sample_json(rows: &RecordBatch, row: usize, outcome: &RowOutcome, schema: &SidecarSchema) -> String {
    let mut fields: Vec<(String, Json)> = Vec::with_capacity(schema.arrow_schema().fields().len());
    for (at, field) in schema.reader_fields().iter().enumerate() {
        if schema.verify_hash_at() != Some(at) {
            let cell = rows.columns().get(at).map_or(Json::Null, |array| cell_to_json(array, row));
            fields.push((field.name().clone(), cell));
        }
    }
    let mut push = |name: &str, value: Json| fields.push((name.to_owned(), value));
    push(column::KEY, Json::Str(outcome.key.as_str().to_owned()));
    push(column::STATUS, Json::Str(outcome.status().as_str().to_owned()));
    push(column::ERROR_MESSAGE, Json::opt_str(outcome.error_message()));
    let size = outcome.size();
    push(column::WIDTH, Json::opt_int(size.width));
    push(column::HEIGHT, Json::opt_int(size.height));
    push(column::ORIGINAL_WIDTH, Json::opt_int(size.original_width));
    push(column::ORIGINAL_HEIGHT, Json::opt_int(size.original_height));
    if schema.options().exif {
        push(column::EXIF, Json::opt_str(outcome.exif.as_deref()));
    }
    if let Some(kind) = schema.options().hash {
        push(kind.as_str(), Json::opt_str(outcome.hash.as_deref()));
    }
    dumps_indented(&Json::Object(fields))
}
