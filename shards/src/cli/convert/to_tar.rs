//! One Parquet image shard to one tar and its sidecar table.

use std::path::Path;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::super::image_table::{Plan, Sidecar};
use super::{Converted, TableOutput, Target};
use crate::folder::ShardFile;
use crate::table::{IMAGE_ROW_GROUP_ROWS, SIDECAR_ROW_GROUP_ROWS, SidecarReader};
use crate::tar::TarWriter;

/// Converts `input`.
pub(super) fn convert(input: &Path, target: &Target<'_>) -> anyhow::Result<Converted> {
    let table = SidecarReader::open_any(input)?;
    let mut plan = Plan::of(&table)?;
    let mut tar = TarWriter::new(target.create(ShardFile::Tar)?);
    let mut sidecar = match &plan.sidecar {
        None => None,
        Some(Sidecar { schema, .. }) => {
            let file = target.create(ShardFile::Table)?;
            Some(TableOutput::new(file, SchemaRef::clone(schema), None, SIDECAR_ROW_GROUP_ROWS)?)
        }
    };
    let mut num_rows = 0;
    for batch in table.batches_of(None, IMAGE_ROW_GROUP_ROWS)? {
        let batch = batch?;
        plan.visit(&batch, |key, files| Ok(tar.append(key, files).map(drop)?)).with_context(|| {
            format!("{}: in rows {num_rows}–{}", input.display(), num_rows + batch.num_rows())
        })?;
        num_rows += batch.num_rows();
        if let (Some(sidecar), Some(Sidecar { kept, schema })) = (&mut sidecar, &plan.sidecar) {
            let columns = batch.project(kept)?.columns().to_vec();
            sidecar.write(RecordBatch::try_new(SchemaRef::clone(schema), columns)?)?;
        }
    }
    let (file, index) = tar.finish()?;
    file.commit()?;
    if let Some(sidecar) = sidecar {
        sidecar.finish()?.commit()?;
    }
    Ok(Converted { samples: index.len() as u64, skipped: plan.skipped })
}
