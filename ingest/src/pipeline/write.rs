//! One shard's files: the images in their container, the sidecar, the indexes, and last of all the stats, whose
//! presence alone says that the shard is finished (FORMAT.md). Everything is written under temporary names.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use pairmill_shards::atomic::{AtomicFile, AtomicFolder, write_atomic};
use pairmill_shards::index::{dali, energon, sizes};
use pairmill_shards::key::{KeyLayout, ShardId};
use pairmill_shards::stats::ShardStats;
use pairmill_shards::table::{RowOutcome, SidecarSchema, SidecarWriter, sample_json};
use pairmill_shards::tar::TarWriter;

use super::shard::OpenShard;
use crate::config::OutputFormat;
use crate::error::IngestError;

/// Tar bytes gathered before they go to the file.
const TAR_BUFFER_BYTES: usize = 256 << 10;
/// Rows handed to the sidecar at once; it cuts its own row groups.
const SIDECAR_BATCH_ROWS: usize = 100;

/// What all shards of a run share.
#[derive(Debug, Clone)]
pub struct WriteStage {
    /// The output folder.
    pub folder: PathBuf,
    /// Container of the images.
    pub format: OutputFormat,
    /// Columns of the sidecar.
    pub schema: SidecarSchema,
    /// Member extension of the image.
    pub image_ext: &'static str,
    /// Whether there is a caption column, and so a `txt` member.
    pub captions: bool,
    /// Whether the column `label` also becomes a `cls` member.
    pub labels: bool,
    /// Padding of names.
    pub layout: KeyLayout,
    /// Whether tar indexes are written.
    pub indexes: bool,
}

impl WriteStage {
    /// Begins a shard.
    ///
    /// # Errors
    /// When its temporary files cannot be created.
    pub fn open(&self, shard: &OpenShard) -> Result<ShardOutput, IngestError> {
        let path = |suffix: &str| self.shard_path(shard.id, suffix);
        let images = match self.format {
            OutputFormat::Webdataset => {
                let file = AtomicFile::create(path(".tar"))?;
                Images::Tar(TarWriter::new(BufWriter::with_capacity(TAR_BUFFER_BYTES, file)))
            }
            OutputFormat::Parquet => Images::Column(Vec::new()),
            OutputFormat::Files => Images::Folder(FolderOutput::create(&path(""))?),
        };
        let sidecar = SidecarWriter::new(AtomicFile::create(path(".parquet"))?, &self.schema)?;
        Ok(ShardOutput { stage: self.clone(), images, sidecar, first: 0, outcomes: Vec::new() })
    }

    fn shard_path(&self, shard: ShardId, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}{suffix}", self.layout.shard_name(shard)))
    }
}

#[expect(clippy::large_enum_variant, reason = "a handful per process, never moved in a hot loop")]
enum Images {
    Tar(TarWriter<BufWriter<AtomicFile>>),
    Column(Vec<Option<Vec<u8>>>),
    Folder(FolderOutput),
}

/// A shard being written, row by row in order.
pub struct ShardOutput {
    stage: WriteStage,
    images: Images,
    sidecar: SidecarWriter<AtomicFile>,
    first: usize,
    outcomes: Vec<RowOutcome>,
}

impl ShardOutput {
    /// Adds the next row.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(
        &mut self,
        shard: &OpenShard,
        row: u32,
        outcome: RowOutcome,
        image: Option<Vec<u8>>,
    ) -> Result<(), IngestError> {
        if let Images::Column(column) = &mut self.images {
            column.push(image);
        } else if let Some(image) = image {
            let json = sample_json(&shard.rows, row as usize, &outcome, &self.stage.schema);
            // A null caption is an empty text, as img2dataset has it.
            let caption = self.stage.captions.then(|| shard.text("caption", row).unwrap_or(""));
            let mut members: Vec<(&str, &[u8])> =
                vec![(self.stage.image_ext, &image), ("json", json.as_bytes())];
            members.extend(caption.map(|c| ("txt", c.as_bytes())));
            let label = shard.integer("label", row).filter(|_| self.stage.labels).map(|l| l.to_string());
            members.extend(label.as_deref().map(|l| ("cls", l.as_bytes())));
            match &mut self.images {
                Images::Tar(tar) => drop(tar.append(outcome.key.as_str(), &members)?),
                Images::Folder(folder) => folder.append(outcome.key.as_str(), &members)?,
                Images::Column(_) => {}
            }
        }
        self.outcomes.push(outcome);
        if self.outcomes.len() >= SIDECAR_BATCH_ROWS {
            self.flush_rows(&shard.rows)?;
        }
        Ok(())
    }

    fn flush_rows(&mut self, rows: &RecordBatch) -> Result<(), IngestError> {
        let outcomes = std::mem::take(&mut self.outcomes);
        let slice = rows.slice(self.first, outcomes.len());
        self.first += outcomes.len();
        match &mut self.images {
            Images::Column(column) => {
                let images = std::mem::take(column);
                self.sidecar.write(&slice, &outcomes, Some(&images))?;
            }
            _ => self.sidecar.write(&slice, &outcomes, None)?,
        }
        Ok(())
    }

    /// Puts the files in place: images, indexes, sidecar, and the stats when all of these are safe.
    ///
    /// # Errors
    /// When the disk refuses; the stats are not there then, so the shard is made again.
    pub fn commit(mut self, shard: &OpenShard, stats: &ShardStats) -> Result<(), IngestError> {
        if !self.outcomes.is_empty() {
            self.flush_rows(&shard.rows)?;
        }
        let stage = self.stage;
        let path = |suffix: &str| stage.shard_path(shard.id, suffix);
        let at = |suffix: &str| {
            let path = path(suffix);
            move |error| IngestError::folder(&path, error)
        };
        match self.images {
            Images::Tar(tar) => {
                let (buffer, index) = tar.finish()?;
                buffer.into_inner().map_err(|e| at(".tar")(e.into_error()))?.commit()?;
                if stage.indexes {
                    dali::write(&index, &path(".idx"))?;
                    energon::write(&index, &path(".tar.idx"))?;
                }
            }
            Images::Folder(folder) => folder.commit()?,
            Images::Column(_) => {}
        }
        self.sidecar.finish()?.commit()?;
        Ok(write_atomic(path("_stats.json"), stats.to_json().as_bytes())?)
    }
}

/// A shard as a folder of files.
struct FolderOutput(AtomicFolder);

impl FolderOutput {
    fn create(target: &Path) -> Result<Self, IngestError> {
        Ok(Self(AtomicFolder::create(target)?))
    }

    fn append(&mut self, key: &str, members: &[(&str, &[u8])]) -> Result<(), IngestError> {
        for (ext, bytes) in members {
            let path = self.0.path().join(format!("{key}.{ext}"));
            fs::write(&path, bytes).map_err(|e| IngestError::folder(&path, e))?;
        }
        Ok(())
    }

    fn commit(self) -> Result<(), IngestError> {
        Ok(self.0.commit()?)
    }
}

/// Writes `sizes.json` over all finished shards: `{"00000.tar": successes, …}`, which open_clip takes the dataset's
/// size from. Only at the end of a run, because img2dataset cannot resume beside it.
///
/// # Errors
/// When stats cannot be read or the file not written.
pub fn write_sizes(folder: &Path, successes: &BTreeMap<String, u64>) -> Result<(), IngestError> {
    Ok(sizes::write(successes, &sizes::path_in(folder))?)
}
