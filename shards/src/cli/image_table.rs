//! The samples in a Parquet image shard: which of its columns are the members that a tar of the same samples has. Used
//! by `convert`, and by `cat` and `head`, which show either kind of shard. Tables of other tools are
//! [`foreign_table`](super::foreign_table)'s.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::foreign_table::ForeignColumns;
use crate::json::{Json, cell_to_json, cell_to_text, dumps_indented};
use crate::printable::excerpt;
use crate::sample::{CAPTION_EXT, METADATA_EXT, Member, Sample};
use crate::status::Status;
use crate::table::{
    HashKind, IMAGE_ROW_GROUP_ROWS, MEMBERS_KEY, SidecarReader, check_version_beside, column, is_binary,
    is_image_struct, text_column,
};
use crate::tar::{EndMarker, Skipped, TarOptions, TarSamples};

/// Columns of ours that no `json` member has (FORMAT.md §3).
const NOT_IN_JSON: [&str; 4] = [column::FAILURE_CLASS, column::ATTEMPTS, column::FINAL_URL, column::RETRY_OF];

/// How shards of either kind are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Tars.
    pub tar: TarOptions,
    /// Columns of bytes that are members, in tables of other tools, beside the image.
    pub members: Vec<String>,
}

impl From<EndMarker> for ReadOptions {
    fn from(end_marker: EndMarker) -> Self {
        Self { tar: end_marker.into(), members: Vec::new() }
    }
}

/// Whether a path is taken for a Parquet image shard rather than a tar.
pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "parquet")
}

/// Shows `visit` the samples of a shard, tar or Parquet, in order, until it breaks off; returns what was passed over.
///
/// # Errors
/// When the shard cannot be read as far as it is shown, or `visit` fails.
pub(super) fn each_sample(
    path: &Path,
    options: &ReadOptions,
    mut visit: impl FnMut(Sample) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<Skipped> {
    if !is_parquet(path) {
        check_version_beside(path)?;
        let mut samples = TarSamples::open(path, &options.tar)?;
        for sample in samples.by_ref() {
            if visit(sample?)?.is_break() {
                break;
            }
        }
        return Ok(samples.skipped());
    }
    let table = SidecarReader::open_any(path)?;
    let mut plan = Plan::of(&table, &options.members)?;
    for batch in table.batches_of(None, IMAGE_ROW_GROUP_ROWS)? {
        let mut flow = ControlFlow::Continue(());
        plan.visit(&batch?, |_, key, files| {
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
    Ok(plan.skipped)
}

/// Which column goes where.
pub(super) struct Plan {
    columns: Columns,
    /// The columns that are a sidecar, if the table is one with images in it.
    pub sidecar: Option<Sidecar>,
    /// Rows that are no samples, although nothing says that they failed.
    pub skipped: Skipped,
    path: PathBuf,
}

/// The columns of a table that are its sidecar.
pub(super) struct Sidecar {
    pub kept: Vec<usize>,
    pub schema: SchemaRef,
}

enum Columns {
    /// As ingest and `convert` write them.
    Ours(OurColumns),
    /// As anyone writes them, Hugging Face above all: no key, no status.
    Foreign(ForeignColumns),
}

struct OurColumns {
    /// Columns whose cells become members.
    members: Vec<usize>,
    /// Fields of the `json` member, in order.
    json: Vec<usize>,
    caption: Option<usize>,
    /// The table was made from a tar that had no sidecar, see [`MEMBERS_KEY`].
    made_from_members: bool,
    /// Rows seen.
    row: u64,
}

impl Plan {
    /// Plans for a table's columns. `members` are those that are members in tables of other tools.
    ///
    /// # Errors
    /// When no column holds images, or a member's column is not there.
    pub fn of(table: &SidecarReader, members: &[String]) -> anyhow::Result<Self> {
        let (columns, sidecar) = match table.is_sidecar() {
            true => {
                let (columns, sidecar) = OurColumns::of(table)?;
                (Columns::Ours(columns), sidecar)
            }
            false => (Columns::Foreign(ForeignColumns::of(table, members)?), None),
        };
        Ok(Self { columns, sidecar, skipped: Skipped::default(), path: table.path().to_owned() })
    }

    /// Columns of bytes that no member is made of.
    pub fn left_out(&self) -> &[String] {
        match &self.columns {
            Columns::Ours(_) => &[],
            Columns::Foreign(columns) => columns.left_out(),
        }
    }

    /// Hands row, key and members (extension, bytes; the image first) of each success in `batch` to `visit`. Batches come
    /// in the order of the table.
    ///
    /// # Errors
    /// When a success has no key or no image, or `visit` fails.
    pub fn visit(
        &mut self,
        batch: &RecordBatch,
        visit: impl FnMut(u64, &str, &[(&str, &[u8])]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match &mut self.columns {
            Columns::Ours(columns) => columns.visit(&self.path, batch, visit),
            Columns::Foreign(columns) => columns.visit(batch, &mut self.skipped, visit),
        }
    }
}

impl OurColumns {
    fn of(table: &SidecarReader) -> anyhow::Result<(Self, Option<Sidecar>)> {
        let fields = table.schema().fields();
        let key_at = fields.iter().position(|f| f.name() == column::KEY).unwrap_or(fields.len());
        // Binary columns of the input, if any, stand before the key; the image behind everything.
        let (members, kept): (Vec<usize>, Vec<usize>) = (0..fields.len()).partition(|at| {
            let data_type = fields[*at].data_type();
            *at > key_at
                && (is_binary(data_type) || fields[*at].name() == column::IMAGE && is_image_struct(data_type))
        });
        let is_hash = |at: &usize| HashKind::ALL.iter().any(|kind| kind.as_str() == fields[*at].name());
        let json = kept.iter().copied().filter(|at| !NOT_IN_JSON.contains(&fields[*at].name().as_str()));
        // A verified hash stands among the input's columns, but at the end of the JSON.
        let (verified, mut json): (Vec<usize>, Vec<usize>) = json.partition(|at| *at < key_at && is_hash(at));
        json.extend(verified);
        let made_from_members = table.key_value(MEMBERS_KEY).is_some();
        // Members of texts alone are a shard all the same.
        if members.is_empty() && !made_from_members {
            bail!(
                "{}: no column of images; this is a sidecar table, its images are in the tar",
                table.path().display()
            );
        }
        let caption = kept.iter().copied().find(|at| fields[*at].name() == column::CAPTION);
        let schema = Schema::new(kept.iter().map(|at| Arc::clone(&fields[*at])).collect::<Vec<_>>());
        let sidecar = (!made_from_members).then(|| Sidecar { kept, schema: Arc::new(schema) });
        Ok((Self { members, json, caption, made_from_members, row: 0 }, sidecar))
    }

    fn visit(
        &mut self,
        path: &Path,
        batch: &RecordBatch,
        mut visit: impl FnMut(u64, &str, &[(&str, &[u8])]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let text = |name: &str| -> anyhow::Result<StringArray> {
            text_column(path, batch, name)?.with_context(|| format!("no column `{name}`"))
        };
        let (keys, statuses) = (text(column::KEY)?, text(column::STATUS)?);
        let mut members = Vec::with_capacity(self.members.len());
        for at in &self.members {
            members.push(MemberColumn::of(batch.schema().field(*at).name(), batch.column(*at))?);
        }
        for row in 0..batch.num_rows() {
            let number = self.row;
            self.row += 1;
            if !statuses.is_valid(row) || statuses.value(row) != Status::Success.as_str() {
                continue;
            }
            if !keys.is_valid(row) {
                bail!("row {number}: a success without a key");
            }
            let key = keys.value(row);
            let mut files: Vec<(&str, &[u8])> = members.iter().filter_map(|m| m.cell(row)).collect();
            if files.is_empty() && !self.made_from_members {
                bail!("row {number}: {} is a success without an image", excerpt(key, 120));
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
            visit(number, key, &files)?;
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

/// A column of members.
pub(super) struct MemberColumn {
    name: String,
    bytes: ArrayRef,
    /// Null structs, whatever stands in their fields.
    nulls: Option<NullBuffer>,
    /// File names of Hugging Face's struct, which carry the extension.
    paths: Option<ArrayRef>,
}

impl MemberColumn {
    pub fn of(name: &str, array: &ArrayRef) -> anyhow::Result<Self> {
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

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Extension and bytes of a row's member, if it has one.
    pub fn cell(&self, row: usize) -> Option<(&str, &[u8])> {
        let bytes = self.bytes.as_binary::<i32>();
        let there = bytes.is_valid(row) && self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        there.then(|| (self.ext(row, bytes.value(row)), bytes.value(row)))
    }

    fn ext(&self, row: usize, bytes: &[u8]) -> &str {
        let Some(paths) = &self.paths else { return self.name.as_str() };
        let paths = paths.as_string::<i32>();
        let name = if paths.is_valid(row) { paths.value(row) } else { "" };
        crate::key::split_member(name).map_or_else(|| image_ext(bytes), |(_, ext)| ext)
    }
}

/// The extension of an image that has no name, by its first bytes; `jpg` is what readers look for first.
pub(super) fn image_ext(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        _ => "jpg",
    }
}
