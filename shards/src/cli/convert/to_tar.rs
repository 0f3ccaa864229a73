//! One Parquet image shard to one tar and its sidecar table.

use std::path::Path;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::super::image_table::Plan;
use super::{TableOutput, Target};
use crate::folder::ShardFile;
use crate::table::{IMAGE_ROW_GROUP_ROWS, SIDECAR_ROW_GROUP_ROWS, SidecarReader};
use crate::tar::TarWriter;

/// Converts `input`; returns the number of samples.
pub(super) fn convert(input: &Path, target: &Target<'_>) -> anyhow::Result<u64> {
    let table = SidecarReader::open(input)?;
    let plan = Plan::of(&table)?;
    let mut tar = TarWriter::new(target.create(ShardFile::Tar)?);
    let mut sidecar = match plan.made_from_members {
        true => None,
        false => {
            let file = target.create(ShardFile::Table)?;
            Some(TableOutput::new(file, SchemaRef::clone(&plan.sidecar), None, SIDECAR_ROW_GROUP_ROWS)?)
        }
    };
    let mut num_rows = 0;
    for batch in table.batches_of(None, IMAGE_ROW_GROUP_ROWS)? {
        let batch = batch?;
        plan.visit(&batch, |key, files| Ok(tar.append(key, files).map(drop)?)).with_context(|| {
            format!("{}: in rows {num_rows}–{}", input.display(), num_rows + batch.num_rows())
        })?;
        num_rows += batch.num_rows();
        if let Some(sidecar) = &mut sidecar {
            let columns = batch.project(&plan.kept)?.columns().to_vec();
            sidecar.write(RecordBatch::try_new(SchemaRef::clone(&plan.sidecar), columns)?)?;
        }
    }
    let (file, index) = tar.finish()?;
    file.commit()?;
    if let Some(sidecar) = sidecar {
        sidecar.finish()?.commit()?;
    }
    Ok(index.len() as u64)
}
