//! What to load and how: everything a user can set, resolved, with its default beside it.

use std::path::PathBuf;

use pairmill_shards::tar::Unsorted;
use serde::{Deserialize, Serialize};

use crate::augment::ImageTransform;
use crate::error::LoaderError;
use crate::remote::RemoteConfig;

/// Shards whose samples are shuffled together.
pub const DEFAULT_WINDOW_SHARDS: usize = 16;
/// Batches that are being filled, are waiting, or are in the caller's hands.
pub const DEFAULT_PREFETCH: usize = 4;
/// Token ids of one caption.
pub const DEFAULT_CONTEXT_LENGTH: usize = 77;

/// One source of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Folders, globs and brace patterns of tars or Parquet image shards, joined by `::`
    /// ([`pairmill_shards::spec::ShardSpec`]); or `http(s)://`, `s3://`, `gs://` or `az://` URLs of them, also with
    /// braces; or a prefix of a bucket.
    pub shards: String,
    /// Share of the samples among the sources, on any scale; without one, the source's own number of samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl SourceSpec {
    /// A source that weighs as much as it has samples.
    pub fn new(shards: impl Into<String>) -> Self {
        Self { shards: shards.into(), weight: None }
    }
}

/// Where a sample's caption comes from. A JSON list of texts, or a list column in Parquet, is several captions: see
/// [`CaptionChoice`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionFrom {
    /// The member of this extension (column of this name in Parquet, where `txt` means `caption`).
    Member(String),
    /// A text field of the member `json` (column of this name in Parquet).
    Json(String),
    /// There is none; every caption is empty.
    Nowhere,
}

impl Default for CaptionFrom {
    fn default() -> Self {
        Self::Member(pairmill_shards::sample::CAPTION_EXT.to_owned())
    }
}

/// Where a sample's class number comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelFrom {
    /// There is none.
    #[default]
    Nowhere,
    /// The member of this extension, a decimal number (column of this name in Parquet); usually `cls`.
    Member(String),
    /// A whole-number field of the member `json` (column of this name in Parquet).
    Json(String),
}

/// What becomes of a sample whose caption is empty or white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlankCaptions {
    /// It is kept, as open_clip keeps it.
    #[default]
    Keep,
    /// It is skipped and counted like a bad sample.
    Drop,
}

/// Which caption of a sample with several is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionChoice {
    /// One is drawn by (seed, epoch, position): another one each epoch, the same one after a resume.
    #[default]
    Draw,
    /// The first, for evaluation.
    First,
}

/// How the samples of a shard are counted before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// From a file beside it, `NNNNN.tar.idx`, `NNNNN.idx` or `NNNNN_stats.json`; without one, by scanning. A count
    /// that turns out wrong is an error when the shard is opened. For shards by URL, `sizes.json` of their folder comes
    /// first, and scanning one means fetching it.
    #[default]
    Beside,
    /// By scanning every shard, which also finds every damaged one before the first batch.
    Scan,
}

/// What a [`Dataset`](crate::Dataset) reads from its samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetConfig {
    /// Extensions (columns in Parquet) of the image; the first present counts.
    pub images: Vec<String>,
    /// The caption.
    pub caption: CaptionFrom,
    /// Every line of a caption that is not blank is a caption of its own.
    #[serde(skip_serializing_if = "is_default")]
    pub caption_lines: bool,
    /// The class number.
    pub label: LabelFrom,
    /// Empty captions.
    pub blank_captions: BlankCaptions,
    /// Where the numbers of samples come from.
    pub counts: Counts,
    /// Accept tars that just stop, without closing zero blocks.
    pub lenient_end: bool,
    /// What becomes of a key that returns after other samples, in tars that are not sorted by name: the shard is an error,
    /// all members of the key are one sample, or each run of them is one.
    #[serde(skip_serializing_if = "is_default")]
    pub unsorted: Unsorted,
    /// Folder for what compressed tars and Parquet shards are unpacked into, one window's worth; the system's temporary
    /// folder by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<PathBuf>,
    /// How shards by URL are fetched and kept.
    pub remote: RemoteConfig,
}

impl Default for DatasetConfig {
    fn default() -> Self {
        Self {
            images: pairmill_shards::sample::IMAGE_EXTS.iter().map(|ext| (*ext).to_owned()).collect(),
            caption: CaptionFrom::default(),
            caption_lines: false,
            label: LabelFrom::default(),
            blank_captions: BlankCaptions::default(),
            counts: Counts::default(),
            lenient_end: false,
            unsorted: Unsorted::default(),
            scratch: None,
            remote: RemoteConfig::default(),
        }
    }
}

/// Settings that came later are written only where they are used, so that a configuration stays the same text.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// In which order samples come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Shards shuffled, cut into windows of [`LoaderConfig::window_shards`], all samples of a window shuffled. Every
    /// sample comes once per pass.
    #[default]
    Shuffle,
    /// As `Shuffle`, but the shards of each window are drawn with replacement: some come twice, some not at all.
    WithReplacement,
    /// As written on disk.
    Sequential,
}

/// What becomes of the samples that do not fill a last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// The last `epoch_samples % global batch` positions of an epoch are left out. The order differs from epoch to
    /// epoch, so these are other samples each time.
    #[default]
    Drop,
    /// A last batch comes with empty slots at its end.
    Short,
}

/// What takes the slot of a sample that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadSamples {
    /// Another sample of the same window, drawn by (seed, epoch, position) from outside the same global batch: a
    /// duplicate inside a batch would be a false negative of a contrastive loss. Batches stay full. Every good sample
    /// still comes at its own position; the substitute comes once more than it should.
    #[default]
    Substitute,
    /// The slot stays empty: for evaluation, where nothing may count twice.
    LeaveEmpty,
}

/// How a [`Loader`](crate::Loader) runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Samples per batch on this rank; the global batch is `batch_size * world`.
    pub batch_size: usize,
    /// Which of the ranks this is, from 0.
    pub rank: usize,
    /// Number of ranks.
    pub world: usize,
    /// Decides the order and every random crop.
    pub seed: u64,
    /// Worker threads; 0 for one per core.
    pub threads: usize,
    /// Buffers that [`HeapBuffer::pool`](crate::HeapBuffer::pool) makes.
    pub prefetch: usize,
    /// The order of samples.
    pub order: Order,
    /// Shards per window.
    pub window_shards: usize,
    /// Samples of an epoch, over all ranks. Without it, an epoch is one pass over all samples. With it (or with several
    /// sources), each source runs through its own passes, whose ends are not the epochs': after an epoch that ends
    /// within a pass, the next one goes on there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_samples: Option<u64>,
    /// Epochs after which the loader ends, counted from 0 even after a resume; endless without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// The samples that do not fill a batch.
    pub last_batch: LastBatch,
    /// Samples that cannot be used.
    pub bad_samples: BadSamples,
    /// From image bytes to pixels.
    pub image: ImageTransform,
    /// Token ids per caption.
    pub context_length: usize,
    /// Which of several captions is taken.
    #[serde(skip_serializing_if = "is_default")]
    pub captions: CaptionChoice,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 64,
            rank: 0,
            world: 1,
            seed: 0,
            threads: 0,
            prefetch: DEFAULT_PREFETCH,
            order: Order::default(),
            window_shards: DEFAULT_WINDOW_SHARDS,
            epoch_samples: None,
            epochs: None,
            last_batch: LastBatch::default(),
            bad_samples: BadSamples::default(),
            image: ImageTransform::default(),
            context_length: DEFAULT_CONTEXT_LENGTH,
            captions: CaptionChoice::default(),
        }
    }
}

impl LoaderConfig {
    /// One pass in disk order, centre crops, first captions, a short last batch and empty slots for bad samples: for
    /// evaluation.
    pub fn evaluation(batch_size: usize, side: u32) -> Self {
        Self {
            batch_size,
            order: Order::Sequential,
            window_shards: 1,
            epochs: Some(1),
            last_batch: LastBatch::Short,
            bad_samples: BadSamples::LeaveEmpty,
            image: ImageTransform::evaluation(side),
            captions: CaptionChoice::First,
            ..Self::default()
        }
    }

    /// Samples per step over all ranks.
    pub fn global_batch(&self) -> u64 {
        self.batch_size as u64 * self.world as u64
    }

    /// Bytes of one batch's pixels: `batch_size * side * side * 3`.
    pub fn image_bytes(&self) -> usize {
        self.batch_size * self.image.slot_bytes()
    }

    pub(crate) fn validate(&self) -> Result<(), LoaderError> {
        let bad = |option, value: String, rule| Err(LoaderError::Option { option, value, rule });
        for (option, value) in [
            ("batch_size", self.batch_size),
            ("world", self.world),
            ("window_shards", self.window_shards),
            ("context_length", self.context_length),
        ] {
            if value == 0 {
                return bad(option, "0".to_owned(), "at least 1");
            }
        }
        if self.rank >= self.world {
            return bad("rank", self.rank.to_string(), "below world; ranks count from 0");
        }
        if self.epoch_samples == Some(0) {
            return bad("epoch_samples", "0".to_owned(), "at least 1, or left out");
        }
        self.image.validate()
    }
}
