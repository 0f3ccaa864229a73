//! New shards: samples under new keys into tars, their rows into sidecars, statistics last, `sizes.json` at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;

use super::RewriteError;
use super::carrier::Carrier;
use super::rows::{Tables, TarRows};
use crate::FORMAT_VERSION;
use crate::atomic::{AtomicFile, write_atomic};
use crate::folder::{SIZES_FILE, ShardFile};
use crate::index::sizes;
use crate::json::{Json, dumps_indented, parse_python_json};
use crate::key::{KeyLayout, ShardId};
use crate::sample::METADATA_EXT;
use crate::stats::ShardStats;
use crate::table::{SIDECAR_ROW_GROUP_ROWS, TableError, column, shard_properties};
use crate::tar::{MappedSample, MappedTar, TarWriter};

/// In front of the key of a `json` member as we and img2dataset write it: no string holds a line end of its own, and
/// only the outermost object is indented by four.
const KEY_FIELD: &[u8] = b"\n    \"key\": \"";

/// The folder being filled.
pub(super) struct ShardsOutput<'a> {
    folder: &'a Path,
    layout: KeyLayout,
    schema: Option<&'a SchemaRef>,
    carrier: &'a dyn Carrier,
    next: u64,
    open: Option<OpenShard>,
    sizes: BTreeMap<String, u64>,
    written: Written,
}

/// What came of it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Written {
    pub(super) samples: u64,
    pub(super) shards: u64,
    pub(super) found: u64,
}

struct OpenShard {
    id: ShardId,
    name: String,
    num_samples: u64,
    begun: f64,
    /// `None` for a shard that an earlier run finished.
    making: Option<Making>,
}

struct Making {
    tar: TarWriter<AtomicFile>,
    path: PathBuf,
    rows: Vec<RecordBatch>,
    keys: Vec<String>,
    image_bytes: u64,
}

impl<'a> ShardsOutput<'a> {
    pub(super) fn new(
        folder: &'a Path,
        layout: KeyLayout,
        tables: &'a Tables,
        carrier: &'a dyn Carrier,
    ) -> Self {
        let (sizes, written) = (BTreeMap::new(), Written::default());
        Self { folder, layout, schema: tables.schema(), carrier, next: 0, open: None, sizes, written }
    }

    /// Adds samples of `tar`; `rows` are the rows of all its samples.
    pub(super) fn add(
        &mut self,
        tar: &MappedTar,
        places: &[usize],
        rows: Option<&TarRows>,
    ) -> Result<(), RewriteError> {
        let mut rest = places;
        while !rest.is_empty() {
            let per_shard = self.layout.samples_per_shard();
            let layout = self.layout;
            let shard = self.open()?;
            let room = usize::try_from(per_shard - shard.num_samples).unwrap_or(usize::MAX);
            let (here, later) = rest.split_at(room.min(rest.len()));
            for &at in here {
                let Some(sample) = tar.sample(at) else { continue };
                shard.append(&sample, tar.path(), &layout)?;
            }
            if let (Some(rows), Some(making)) = (rows, &mut shard.making) {
                making.rows.push(rows.take(here)?);
            }
            if shard.num_samples == per_shard {
                self.close()?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Closes the last shard and counts.
    pub(super) fn finish(mut self) -> Result<Written, RewriteError> {
        self.close()?;
        if !self.sizes.is_empty() {
            sizes::write(&self.sizes, &sizes::path_in(self.folder))?;
            self.carrier.publish(SIZES_FILE)?;
        }
        Ok(self.written)
    }

    fn open(&mut self) -> Result<&mut OpenShard, RewriteError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let id = ShardId(self.next);
                self.next += 1;
                let name = self.layout.shard_name(id);
                let path = self.folder.join(ShardFile::Tar.name(&name));
                // Each file appears whole. Without a sidecar there are no statistics either. Of a shard that lost a file,
                // all are made again.
                let files: &[ShardFile] = match self.schema {
                    Some(_) => &[ShardFile::Tar, ShardFile::Table, ShardFile::Stats],
                    None => &[ShardFile::Tar],
                };
                let making = if files.iter().all(|file| self.folder.join(file.name(&name)).exists()) {
                    None
                } else {
                    let tar = TarWriter::new(AtomicFile::create(&path)?);
                    Some(Making { tar, path, rows: Vec::new(), keys: Vec::new(), image_bytes: 0 })
                };
                OpenShard { id, name, num_samples: 0, begun: now(), making }
            }
        };
        Ok(self.open.insert(open))
    }

    fn close(&mut self) -> Result<(), RewriteError> {
        let Some(shard) = self.open.take() else { return Ok(()) };
        self.written.shards += 1;
        self.written.samples += shard.num_samples;
        self.sizes.insert(ShardFile::Tar.name(&shard.name), shard.num_samples);
        let Some(making) = shard.making else {
            self.written.found += 1;
            return Ok(());
        };
        let (file, _) = making
            .tar
            .finish()
            .map_err(|source| RewriteError::of_write(&making.path, &making.path, source))?;
        file.commit()?;
        if let Some(schema) = self.schema {
            let path = self.folder.join(ShardFile::Table.name(&shard.name));
            write_rows(path, schema, &making.rows, &making.keys)?;
            let mut stats = ShardStats {
                count: shard.num_samples,
                successes: shard.num_samples,
                start_time: shard.begun,
                end_time: now().max(shard.begun + 1e-3),
                image_bytes: Some(making.image_bytes),
                ..ShardStats::default()
            };
            stats.status_dict.add("success", shard.num_samples);
            let path = self.folder.join(ShardFile::Stats.name(&shard.name));
            write_atomic(path, stats.to_json().as_bytes())?;
        }
        self.carrier.publish_shard(&shard.name)
    }
}

impl OpenShard {
    fn append(
        &mut self,
        sample: &MappedSample<'_>,
        from: &Path,
        layout: &KeyLayout,
    ) -> Result<(), RewriteError> {
        let key = layout.key(self.id, self.num_samples);
        self.num_samples += 1;
        let Some(making) = &mut self.making else { return Ok(()) };
        let json = sample.metadata().map(|json| with_key(json, key.as_str()));
        let members: Vec<(&str, &[u8])> = sample
            .members()
            .map(|(ext, bytes)| match &json {
                Some(json) if ext == METADATA_EXT => (ext, json.as_slice()),
                _ => (ext, bytes),
            })
            .collect();
        making
            .tar
            .append(key.as_str(), &members)
            .map_err(|source| RewriteError::of_write(from, &making.path, source))?;
        making.image_bytes += sample.image().map_or(0, |(_, bytes)| bytes.len() as u64);
        making.keys.push(key.as_str().to_owned());
        Ok(())
    }
}

/// The same JSON under another key. What is no object, or names no key, stays as it is.
fn with_key(json: &[u8], key: &str) -> Vec<u8> {
    let found = json.windows(KEY_FIELD.len()).position(|window| window == KEY_FIELD);
    if let Some(at) = found {
        let from = at + KEY_FIELD.len();
        if let Some(length) = json[from..].iter().position(|byte| *byte == b'"')
            && !json[from..from + length].contains(&b'\\')
        {
            return [&json[..from], key.as_bytes(), &json[from + length..]].concat();
        }
    }
    let parsed = std::str::from_utf8(json).ok().and_then(|text| parse_python_json(text).ok());
    match parsed {
        Some(serde_json::Value::Object(mut fields)) if fields.contains_key(column::KEY) => {
            fields.insert(column::KEY.to_owned(), key.into());
            dumps_indented(&Json::from(&serde_json::Value::Object(fields))).into_bytes()
        }
        _ => json.to_vec(),
    }
}

fn write_rows(
    path: PathBuf,
    schema: &SchemaRef,
    rows: &[RecordBatch],
    keys: &[String],
) -> Result<(), RewriteError> {
    let rows = concat_batches(schema, rows).map_err(TableError::Arrow)?;
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(keys));
    let mut columns = rows.columns().to_vec();
    if let Ok(at) = schema.index_of(column::KEY) {
        columns[at] = cast(&keys, schema.field(at).data_type()).map_err(TableError::Arrow)?;
    }
    let rows = RecordBatch::try_new(Arc::clone(schema), columns).map_err(TableError::Arrow)?;
    let properties = shard_properties(schema, None, SIDECAR_ROW_GROUP_ROWS, Some(FORMAT_VERSION));
    let file = AtomicFile::create(path)?;
    let mut writer =
        ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(TableError::Write)?;
    for start in (0..rows.num_rows()).step_by(SIDECAR_ROW_GROUP_ROWS) {
        let group = rows.slice(start, SIDECAR_ROW_GROUP_ROWS.min(rows.num_rows() - start));
        writer.write(&group).and_then(|()| writer.flush()).map_err(TableError::Write)?;
    }
    Ok(writer.into_inner().map_err(TableError::Write)?.commit()?)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::with_key;

    #[test]
    fn only_the_key_changes() {
        let ours = b"{\n    \"caption\": \"\\\"key\\\": \\\"no\\\"\",\n    \"key\": \"000000001\",\n    \"x\": 1e-05\n}";
        let changed = String::from_utf8(with_key(ours, "42")).unwrap();
        assert_eq!(changed, String::from_utf8_lossy(ours).replace("000000001", "42"));
        let foreign = br#"{"key": "a", "url": "b"}"#;
        assert_eq!(with_key(foreign, "7"), b"{\n    \"key\": \"7\",\n    \"url\": \"b\"\n}");
        for other in [&b"[1]"[..], b"no json", br#"{"url": "b"}"#] {
            assert_eq!(with_key(other, "7"), other);
        }
    }
}
