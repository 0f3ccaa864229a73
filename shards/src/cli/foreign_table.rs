//! Parquet image shards that other tools wrote, Hugging Face's above all: `image: struct<bytes, path>` beside columns of the
//! data set, or the members of a webdataset as columns (`jpg`, `json`, `txt`, `__key__`). No status says which rows failed,
//! and there need be no key, so a row is known by its table's name and its number.

use std::path::Path;

use anyhow::bail;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields};

use super::image_table::{MemberColumn, image_ext};
use crate::json::{Json, cell_to_json, cell_to_text, dumps_indented, parse_python_json};
use crate::printable::excerpt;
use crate::sample::{CAPTION_EXT, IMAGE_EXTS, METADATA_EXT};
use crate::table::{
    IMAGE_NAMES, SidecarReader, column, image_column, is_binary, is_image_struct, value_type,
};
use crate::tar::{Skipped, shard_stem};

/// Column with a class number, which is a member of its own in a tar.
const LABEL_EXT: &str = "cls";
/// Columns of bytes that are members wherever they stand: webdataset's own names for what is no image.
const MEMBER_EXTS: [&str; 6] = [CAPTION_EXT, LABEL_EXT, "npy", "npz", "pth", "pyd"];
/// Characters of a table's name that are part of a key.
const MAX_STEM: usize = 60;

/// Which column of a foreign table is what.
pub(super) struct ForeignColumns {
    key: Option<usize>,
    image: usize,
    /// Other columns of bytes that are members, under their own names: [`MEMBER_EXTS`], and those that the user named. What
    /// else there is (thumbnails, masks) would often be a second image.
    others: Vec<usize>,
    left_out: Vec<String>,
    caption: Option<usize>,
    json: Option<usize>,
    label: Option<usize>,
    /// Columns that become fields of the `json` member.
    fields: Vec<usize>,
    stem: String,
    row: u64,
}

impl ForeignColumns {
    /// Chooses among a table's columns; `members` are those of bytes that become members beside the image.
    ///
    /// # Errors
    /// When none of them holds images, or one of `members` is not there.
    pub fn of(table: &SidecarReader, members: &[String]) -> anyhow::Result<Self> {
        let columns = table.schema().fields();
        let holds_bytes =
            |at: &usize| is_binary(columns[*at].data_type()) || is_image_struct(columns[*at].data_type());
        let first = |names: &[&str], fits: &dyn Fn(&usize) -> bool| {
            let found = |name: &&str| columns.iter().position(|column| column.name() == *name).filter(fits);
            names.iter().find_map(found)
        };
        let Some(image) = image_column(columns) else {
            bail!(
                "{}: no column of images ({}, {}, or one of struct<bytes, path>); it has: {}",
                table.path().display(),
                IMAGE_EXTS.join(", "),
                IMAGE_NAMES.join(", "),
                names(columns)
            );
        };
        let is_text = |at: &usize| {
            matches!(
                value_type(columns[*at].data_type()),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        };
        let is_number = |at: &usize| value_type(columns[*at].data_type()).is_integer();
        let key = first(&column::KEYS, &is_text);
        let caption = first(&column::CAPTIONS, &is_text);
        let json = first(&[METADATA_EXT], &|_| true);
        let label = first(&[LABEL_EXT], &is_number);
        let is_member = |at: usize| Some(at) == json || Some(at) == label || Some(at) == key;
        if let Some(missing) = members.iter().find(|name| first(&[name.as_str()], &holds_bytes).is_none()) {
            bail!(
                "{}: no column of bytes `{}`; it has: {}",
                table.path().display(),
                excerpt(missing, MAX_STEM),
                names(columns)
            );
        }
        let rest = (0..columns.len()).filter(|at| *at != image && holds_bytes(at) && !is_member(*at));
        let (others, left_out): (Vec<usize>, Vec<usize>) = rest.partition(|at| {
            let name = columns[*at].name();
            MEMBER_EXTS.contains(&name.as_str()) || members.contains(name)
        });
        let left_out = left_out.into_iter().map(|at| columns[at].name().clone()).collect();
        // A caption called `txt` is a member; any other is a field too, as in shards of ours.
        let fields = (0..columns.len()).filter(|at| {
            let name = columns[*at].name().as_str();
            !is_member(*at)
                && !name.starts_with("__")
                && name != CAPTION_EXT
                && !has_bytes(columns[*at].data_type())
        });
        let fields = fields.collect();
        let stem = stem(table.path());
        Ok(Self { key, image, others, left_out, caption, json, label, fields, stem, row: 0 })
    }

    /// Columns of bytes that no member is made of.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Hands row, key and members of each row with an image to `visit`, and counts the others.
    ///
    /// # Errors
    /// When a column of images is of a kind that is not read, or `visit` fails.
    pub fn visit(
        &mut self,
        batch: &RecordBatch,
        skipped: &mut Skipped,
        mut visit: impl FnMut(u64, &str, &[(&str, &[u8])]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let schema = batch.schema();
        let column = |at: usize| MemberColumn::of(schema.field(at).name(), batch.column(at));
        let image = column(self.image)?;
        let others = self.others.iter().map(|at| column(*at)).collect::<anyhow::Result<Vec<_>>>()?;
        let image_name = schema.field(self.image).name().to_lowercase();
        for row in 0..batch.num_rows() {
            let number = self.row;
            self.row += 1;
            let named = self.key.and_then(|at| cell_to_text(batch.column(at), row));
            let key = named.unwrap_or_else(|| format!("{}-{number:06}", self.stem));
            let Some((ext, bytes)) = image.cell(row).filter(|(_, bytes)| !bytes.is_empty()) else {
                skipped.add_sample(&key, &format_args!("its row {number} has no image bytes"));
                continue;
            };
            let ext = ext.to_lowercase();
            let ext = [image_name.as_str(), ext.as_str()].into_iter().find(|ext| IMAGE_EXTS.contains(ext));
            let caption = self.caption.and_then(|at| cell_to_text(batch.column(at), row));
            let label = self.label.and_then(|at| cell_to_text(batch.column(at), row));
            let json = self.metadata(batch, row);
            let mut files = vec![(ext.unwrap_or_else(|| image_ext(bytes)), bytes)];
            let names: Vec<(String, &[u8])> = (others.iter())
                .filter_map(|other| Some((other.name().to_lowercase(), other.cell(row)?.1)))
                .collect();
            files.extend(names.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
            files.extend(caption.as_ref().map(|caption| (CAPTION_EXT, caption.as_bytes())));
            files.extend(label.as_ref().map(|label| (LABEL_EXT, label.as_bytes())));
            files.extend(json.as_ref().map(|json| (METADATA_EXT, json.as_bytes())));
            visit(number, &key, &files)?;
        }
        Ok(())
    }

    /// The `json` column, and the other columns as further fields of it.
    fn metadata(&self, batch: &RecordBatch, row: usize) -> Option<String> {
        let mut object = Vec::new();
        if let Some(cell) = self.json.map(|at| batch.column(at)).filter(|cell| cell.is_valid(row)) {
            if cell.data_type().is_nested() {
                if let Json::Object(fields) = cell_to_json(cell, row) {
                    object = fields;
                }
            } else {
                let text = text_of(cell, row)?;
                match parse_python_json(&text) {
                    // Nothing to add: the text stays as it is.
                    _ if self.fields.is_empty() => return Some(text),
                    Ok(serde_json::Value::Object(fields)) => {
                        object =
                            fields.iter().map(|(name, value)| (name.clone(), Json::from(value))).collect();
                    }
                    _ => return Some(text),
                }
            }
        }
        for at in &self.fields {
            let name = batch.schema().field(*at).name().clone();
            if !object.iter().any(|(known, _)| *known == name) {
                object.push((name, cell_to_json(batch.column(*at), row)));
            }
        }
        (!object.is_empty()).then(|| dumps_indented(&Json::Object(object)))
    }
}

/// A cell of text, or of the bytes of a text.
fn text_of(cell: &ArrayRef, row: usize) -> Option<String> {
    if !is_binary(cell.data_type()) {
        return cell_to_text(cell, row);
    }
    let bytes = cast(&cell.slice(row, 1), &DataType::Binary).ok()?;
    let bytes = bytes.as_binary::<i32>();
    bytes.is_valid(0).then(|| String::from_utf8_lossy(bytes.value(0)).into_owned())
}

/// Whether a column holds bytes somewhere, which no JSON should.
fn has_bytes(data_type: &DataType) -> bool {
    match value_type(data_type) {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_bytes(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| has_bytes(field.data_type())),
        other => is_binary(other) || matches!(other, DataType::FixedSizeBinary(_)),
    }
}

fn names(columns: &Fields) -> String {
    let names: Vec<&str> = columns.iter().take(30).map(|column| column.name().as_str()).collect();
    names.join(", ")
}

/// The name of a table as part of a key: no dots, which would end the key, and no slashes.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    shard_stem(&name).chars().take(MAX_STEM).map(plain).collect()
}
