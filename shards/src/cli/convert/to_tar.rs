//! One Parquet image shard to one tar and its sidecar table.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Once;

use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::super::image_table::{Plan, ReadOptions, Sidecar};
use super::super::output::complain;
use super::{Converted, TableOutput, Target};
use crate::folder::ShardFile;
use crate::key::fingerprint;
use crate::printable::excerpt;
use crate::table::{IMAGE_ROW_GROUP_ROWS, SIDECAR_ROW_GROUP_ROWS, SidecarReader};
use crate::tar::{BadSamples, Skipped, TarWriter, Unsorted};

/// Characters of a key that a message shows.
const MAX_KEY: usize = 120;

/// Converts `input`.
pub(super) fn convert(input: &Path, options: &ReadOptions, target: &Target<'_>) -> anyhow::Result<Converted> {
    let table = SidecarReader::open_any(input)?;
    let mut plan = Plan::of(&table, &options.members)?;
    tell_left_out(input, plan.left_out());
    let mut tar = TarWriter::new(target.create(ShardFile::Tar)?);
    let mut sidecar = match &plan.sidecar {
        None => None,
        Some(Sidecar { schema, .. }) => {
            let file = target.create(ShardFile::Table)?;
            let (schema, version) = (SchemaRef::clone(schema), table.format_version());
            Some(TableOutput::new(file, schema, None, SIDECAR_ROW_GROUP_ROWS, version)?)
        }
    };
    // A row that is left out would be missed by a table that lists it.
    let may_skip = plan.sidecar.is_none();
    // Halves of samples may have come to a table under one key, where that was asked for.
    let is_told_by_keys = may_skip && options.tar.unsorted != Unsorted::Split;
    let mut keys = HashSet::new();
    let mut skipped = Skipped::default();
    for batch in table.batches_of(None, IMAGE_ROW_GROUP_ROWS)? {
        let batch = batch?;
        let visited = plan.visit(&batch, |row, key, files| {
            let problem = if is_told_by_keys && !keys.insert(fingerprint(key)) {
                "an earlier row has this key".to_owned()
            } else if may_skip && leads_out(key) {
                "as a path it leads out of the folder that a tar is unpacked in".to_owned()
            } else {
                match tar.append(key, files) {
                    Ok(_) => return Ok(()),
                    Err(error) if error.is_of_sample() => error.to_string(),
                    Err(error) => return Err(error.into()),
                }
            };
            if may_skip && options.tar.bad_samples == BadSamples::Skip {
                skipped.add_sample(key, &format_args!("row {row}: {problem}"));
                return Ok(());
            }
            let key = excerpt(key, MAX_KEY);
            let advice = if may_skip { "; leave such rows out with --bad-samples skip" } else { "" };
            bail!("row {row}: key `{key}`: {problem}{advice}")
        });
        visited.with_context(|| input.display().to_string())?;
        if let (Some(sidecar), Some(Sidecar { kept, schema })) = (&mut sidecar, &plan.sidecar) {
            let columns = batch.project(kept)?.columns().to_vec();
            sidecar.write(RecordBatch::try_new(SchemaRef::clone(schema), columns)?)?;
        }
    }
    let (file, index) = tar.finish()?;
    // The tar after the table, so that it says that both are there.
    if let Some(sidecar) = sidecar {
        sidecar.finish()?.commit()?;
    }
    file.commit()?;
    skipped.add(plan.skipped);
    Ok(Converted { samples: index.len() as u64, skipped })
}

/// Whether a key is a path to somewhere above or beside the folder that its tar is unpacked in.
fn leads_out(key: &str) -> bool {
    key.starts_with('/') || key.split('/').any(|part| part == "..")
}

/// Says once what of another tool's table goes into no tar.
fn tell_left_out(input: &Path, columns: &[String]) {
    static TOLD: Once = Once::new();
    if !columns.is_empty() {
        TOLD.call_once(|| {
            complain(&format!(
                "note: {}: columns of bytes that are left out: {}; keep some with --members NAME,...",
                input.display(),
                excerpt(&columns.join(", "), 200)
            ));
        });
    }
}
