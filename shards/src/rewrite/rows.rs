//! The sidecar rows of samples. New shards have sidecars if every input has one, all of one shape; a retry's
//! `retry_of` is left out, as the row it names is not there any more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};

use super::RewriteError;
use super::carrier::Inputs;
use crate::folder::{ShardFile, beside};
use crate::status::Status;
use crate::table::{SidecarReader, TableError, column, text_column};
use crate::tar::MappedTar;

/// Whether there are sidecars, and of which shape.
pub(super) struct Tables {
    schema: Result<SchemaRef, String>,
}

/// The rows of one tar, in the order of its samples.
pub(super) struct TarRows(pub(super) RecordBatch);

impl Tables {
    pub(super) fn of(inputs: &Inputs<'_>) -> Result<Self, RewriteError> {
        let mut first: Option<(&Path, SchemaRef)> = None;
        let shown = |tar: &Path| inputs.carrier.named(tar).0;
        for tar in inputs.paths {
            let Some(schema) = inputs.carrier.table_schema(tar)? else {
                return Ok(Self { schema: Err(format!("{} has none", shown(tar))) });
            };
            let schema = without_retry(&schema);
            match &first {
                None => first = Some((tar, schema)),
                Some((_, known)) if known.fields() == schema.fields() => {}
                Some((known, _)) => {
                    let reason = format!("those of {} and {} have other columns", shown(known), shown(tar));
                    return Ok(Self { schema: Err(reason) });
                }
            }
        }
        Ok(Self { schema: first.map(|(_, schema)| schema).ok_or_else(String::new) })
    }

    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref().ok()
    }

    pub(super) fn why_none(&self) -> Option<&str> {
        self.schema.as_ref().err().map(String::as_str)
    }

    /// The rows of the samples of `tar`, if there are sidecars.
    pub(super) fn rows_of(&self, tar: &MappedTar) -> Result<Option<TarRows>, RewriteError> {
        let Some(schema) = self.schema() else { return Ok(None) };
        let path = sidecar_of(tar.path());
        let table = SidecarReader::open(&path)?;
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let batches = table.batches(Some(&names))?.collect::<Result<Vec<_>, _>>()?;
        let arrow = |e| RewriteError::from(TableError::Arrow(e));
        // The readers' batches have their columns in the table's order and the file's metadata.
        let batches = batches
            .into_iter()
            .map(|batch| RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(arrow)?;
        let all = concat_batches(schema, &batches).map_err(arrow)?;
        let keys = text_column(&path, &all, column::KEY)?;
        let statuses = text_column(&path, &all, column::STATUS)?;
        let mut places: HashMap<&str, u32> = HashMap::with_capacity(all.num_rows());
        if let (Some(keys), Some(statuses)) = (&keys, &statuses) {
            for (row, (key, status)) in keys.iter().zip(statuses.iter()).enumerate() {
                if let Some(key) = key
                    && status == Some(Status::Success.as_str())
                {
                    places.insert(key, u32::try_from(row).unwrap_or(u32::MAX));
                }
            }
        }
        let mut wanted = Vec::with_capacity(tar.len());
        for sample in tar.iter() {
            // Once each: two samples of one key have one row at most.
            let Some(row) = places.remove(sample.key()) else {
                let key = sample.key().to_owned();
                return Err(RewriteError::NoRow { tar: tar.path().to_owned(), table: path, key });
            };
            wanted.push(row);
        }
        drop(places);
        Ok(Some(TarRows(take_record_batch(&all, &UInt32Array::from(wanted)).map_err(arrow)?)))
    }
}

impl TarRows {
    /// Those at `places`, in that order.
    pub(super) fn take(&self, places: &[usize]) -> Result<RecordBatch, RewriteError> {
        let places: UInt32Array = places.iter().map(|&at| u32::try_from(at).ok()).collect();
        debug_assert_eq!(places.null_count(), 0);
        take_record_batch(&self.0, &places).map_err(|e| TableError::Arrow(e).into())
    }
}

/// Where the sidecar of a tar lies.
pub(super) fn sidecar_of(tar: &Path) -> PathBuf {
    beside(tar, ShardFile::Table)
}

fn without_retry(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| field.name() != column::RETRY_OF).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
