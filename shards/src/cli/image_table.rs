//! The samples in a Parquet image shard: which of its columns are the members that a tar of the same samples has. Used
//! by `convert`, and by `cat` and `head`, which show either kind of shard.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};

use crate::json::{Json, cell_to_json, cell_to_text, dumps_indented};
use crate::sample::{CAPTION_EXT, METADATA_EXT, Member, Sample};
use crate::status::Status;
use crate::table::{
    HashKind, IMAGE_ROW_GROUP_ROWS, MEMBERS_KEY, SidecarReader, check_version_beside, column, text_column,
};
use crate::tar::{EndMarker, TarReader};

/// Columns of ours that no `json` member has (FORMAT.md §3).
const NOT_IN_JSON: [&str; 4] = [column::FAILURE_CLASS, column::ATTEMPTS, column::FINAL_URL, column::RETRY_OF];

/// Whether a path is taken for a Parquet image shard rather than a tar.
pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "parquet")
}

/// Shows `visit` the samples of a shard, tar or Parquet, in order, until it breaks off.
///
/// # Errors
/// When the shard cannot be read as far as it is shown, or `visit` fails.
pub(super) fn each_sample(
    path: &Path,
    end: EndMarker,
    mut visit: impl FnMut(Sample) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    if !is_parquet(path) {
        check_version_beside(path)?;
        for sample in TarReader::open(path, end)? {
            if visit(sample?)?.is_break() {
                break;
            }
        }
        return Ok(());
    }
    let table = SidecarReader::open(path)?;
    let plan = Plan::of(&table)?;
    for batch in table.batches_of(None, IMAGE_ROW_GROUP_ROWS)? {
        let mut flow = ControlFlow::Continue(());
        plan.visit(&batch?, |key, files| {
            if flow.is_continue() {
                let member =
                    |(ext, data): &(&str, &[u8])| Member { ext: (*ext).to_owned(), data: data.to_vec() };
                let mut members: Vec<Member> = files.iter().map(member).collect();
                // The order they have in a tar.
                members.sort_by(|a, b| a.ext.cmp(&b.ext));
                flow = visit(Sample { key: key.to_owned(), members })?;
            }
            Ok(())
        })
        .with_context(|| path.display().to_string())?;
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Which column goes where.
pub(super) struct Plan {
    /// Columns whose cells become members.
    members: Vec<usize>,
    /// The other columns: the sidecar.
    pub kept: Vec<usize>,
    pub sidecar: SchemaRef,
    /// Fields of the `json` member, in order.
    json: Vec<usize>,
    caption: Option<usize>,
    /// The table was made from a tar that had no sidecar, see [`MEMBERS_KEY`].
    pub made_from_members: bool,
    path: PathBuf,
}

impl Plan {
    /// Plans for a table's columns.
    ///
    /// # Errors
    /// When no column holds images.
    pub fn of(table: &SidecarReader) -> anyhow::Result<Self> {
        let fields = table.schema().fields();
        let key_at = fields.iter().position(|f| f.name() == column::KEY).unwrap_or(fields.len());
        // Binary columns of the input, if any, stand before the key; the image behind everything.
        let (members, kept): (Vec<usize>, Vec<usize>) = (0..fields.len()).partition(|at| {
            let data_type = fields[*at].data_type();
            *at > key_at
                && (is_binary(data_type) || fields[*at].name() == column::IMAGE && is_image_struct(data_type))
        });
        let sidecar = Schema::new(kept.iter().map(|at| Arc::clone(&fields[*at])).collect::<Vec<_>>());
        let is_hash = |at: &usize| HashKind::ALL.iter().any(|kind| kind.as_str() == fields[*at].name());
        let json = kept.iter().copied().filter(|at| !NOT_IN_JSON.contains(&fields[*at].name().as_str()));
        // A verified hash stands among the input's columns, but at the end of the JSON.
        let (verified, mut json): (Vec<usize>, Vec<usize>) = json.partition(|at| *at < key_at && is_hash(at));
        json.extend(verified);
        if members.is_empty() {
            bail!(
                "{}: no column of images; this is a sidecar table, its images are in the tar",
                table.path().display()
            );
        }
        Ok(Self {
            members,
            sidecar: Arc::new(sidecar),
            json,
            caption: kept.iter().copied().find(|at| fields[*at].name() == column::CAPTION),
            kept,
            made_from_members: table.key_value(MEMBERS_KEY).is_some(),
            path: table.path().to_owned(),
        })
    }

    /// Hands key and members (extension, bytes; the image first) of each success in `batch` to `visit`.
    ///
    /// # Errors
    /// When a success has no key or no image, or `visit` fails.
    pub fn visit(
        &self,
        batch: &RecordBatch,
        mut visit: impl FnMut(&str, &[(&str, &[u8])]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let text = |name: &str| -> anyhow::Result<StringArray> {
            text_column(&self.path, batch, name)?.with_context(|| format!("no column `{name}`"))
        };
        let (keys, statuses) = (text(column::KEY)?, text(column::STATUS)?);
        let mut members = Vec::with_capacity(self.members.len());
        for at in &self.members {
            members.push(MemberColumn::of(batch.schema().field(*at).name(), batch.column(*at))?);
        }
        for row in 0..batch.num_rows() {
            if !statuses.is_valid(row) || statuses.value(row) != Status::Success.as_str() {
                continue;
            }
            if !keys.is_valid(row) {
                bail!("a success without a key");
            }
            let key = keys.value(row);
            let mut files: Vec<(&str, &[u8])> = members.iter().filter_map(|m| m.cell(row)).collect();
            if files.is_empty() && !self.made_from_members {
                bail!("{key} is a success without an image");
            }
            let caption = self.caption.map(|at| cell_to_text(batch.column(at), row));
            let caption = if self.made_from_members {
                caption.flatten()
            } else {
                caption.map(Option::unwrap_or_default)
            };
            if let Some(caption) = &caption {
                files.push((CAPTION_EXT, caption.as_bytes()));
            }
            let json = self.json_member(batch, row);
            if let Some(json) = &json {
                files.push((METADATA_EXT, json.as_bytes()));
            }
            visit(key, &files)?;
        }
        Ok(())
    }

    fn json_member(&self, batch: &RecordBatch, row: usize) -> Option<String> {
        if self.made_from_members {
            return cell_to_text(batch.column_by_name(METADATA_EXT)?, row);
        }
        let fields = self
            .json
            .iter()
            .map(|at| (batch.schema().field(*at).name().clone(), cell_to_json(batch.column(*at), row)));
        Some(dumps_indented(&Json::Object(fields.collect())))
    }
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_image_struct(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(fields) if fields.iter().any(|f| f.name() == "bytes" && is_binary(f.data_type())))
}

/// A column of members.
struct MemberColumn {
    name: String,
    bytes: ArrayRef,
    /// Null structs, whatever stands in their fields.
    nulls: Option<NullBuffer>,
    /// File names of Hugging Face's struct, which carry the extension.
    paths: Option<ArrayRef>,
}

impl MemberColumn {
    fn of(name: &str, array: &ArrayRef) -> anyhow::Result<Self> {
        let (bytes, paths) = match array.as_struct_opt() {
            Some(image) => {
                let bytes = image.column_by_name("bytes").context("column `image` has no `bytes`")?;
                let paths = image.column_by_name("path").map(|p| cast(p, &DataType::Utf8)).transpose()?;
                (bytes, paths)
            }
            None => (array, None),
        };
        Ok(Self {
            name: name.to_owned(),
            bytes: cast(bytes, &DataType::Binary)?,
            nulls: array.nulls().cloned(),
            paths,
        })
    }

    fn cell(&self, row: usize) -> Option<(&str, &[u8])> {
        let bytes = self.bytes.as_binary::<i32>();
        let ext = match &self.paths {
            None => self.name.as_str(),
            Some(paths) => {
                let paths = paths.as_string::<i32>();
                let name = if paths.is_valid(row) { paths.value(row) } else { "" };
                // Without a name the format by content would have to do; jpg is what readers look for first.
                crate::key::split_member(name).map_or("jpg", |(_, ext)| ext)
            }
        };
        let there = bytes.is_valid(row) && self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        there.then(|| (ext, bytes.value(row)))
    }
}
