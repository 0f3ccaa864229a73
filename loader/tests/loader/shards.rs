//! Small shards made in code, whose captions say which shard and sample they are, so that a lost or repeated sample
//! shows; and a loader that is run to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pairmill_loader::{
    Batch, Dataset, DatasetConfig, Encode, HeapBuffer, ImageTransform, Loader, LoaderConfig, LoaderError,
    LoaderState, Origin, SourceSpec,
};
use pairmill_shards::sample::{Member, Sample};
use pairmill_shards::tar::TarWriter;

/// Side of the pictures that come out.
pub const SIDE: u32 = 8;

/// A folder that goes with the test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn spec(&self) -> SourceSpec {
        SourceSpec::new(self.path().to_str().unwrap())
    }

    /// Writes shards of these sizes; sample `i` of shard `s` has the caption `s i`.
    pub fn with_tars(counts: &[usize]) -> Self {
        let folder = Self::new();
        for (shard, count) in counts.iter().enumerate() {
            folder.tar(&format!("{shard:05}.tar"), (0..*count).map(|sample| good(shard, sample)));
        }
        folder
    }

    pub fn tar(&self, name: &str, samples: impl Iterator<Item = Sample>) -> PathBuf {
        let path = self.path().join(name);
        let mut writer = TarWriter::new(std::fs::File::create(&path).unwrap());
        for sample in samples {
            let members: Vec<_> =
                sample.members.iter().map(|m| (m.ext.as_str(), m.data.as_slice())).collect();
            writer.append(&sample.key, &members).unwrap();
        }
        writer.finish().unwrap();
        path
    }
}

/// A picture whose colours say which sample it is.
pub fn picture(shard: usize, sample: usize) -> Vec<u8> {
    let mut png = Vec::new();
    let pixels: Vec<u8> = (0..12 * 10).flat_map(|_| [shard as u8, sample as u8, 200]).collect();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    image::ImageEncoder::write_image(encoder, &pixels, 12, 10, image::ExtendedColorType::Rgb8).unwrap();
    png
}

pub fn member(ext: &str, data: impl Into<Vec<u8>>) -> Member {
    Member { ext: ext.to_owned(), data: data.into() }
}

pub fn key(shard: usize, sample: usize) -> String {
    format!("{shard:05}{sample:04}")
}

pub fn good(shard: usize, sample: usize) -> Sample {
    let members = vec![member("png", picture(shard, sample)), member("txt", format!("{shard} {sample}"))];
    Sample { key: key(shard, sample), members }
}

/// Token ids: the two numbers of the caption.
pub fn encode() -> Encode {
    Arc::new(|caption, ids| {
        for (id, word) in ids.iter_mut().zip(caption.split(' ')) {
            *id = word.parse().unwrap_or(-1);
        }
    })
}

pub fn config(batch_size: usize) -> LoaderConfig {
    LoaderConfig {
        batch_size,
        threads: 2,
        prefetch: 2,
        window_shards: 3,
        context_length: 2,
        epochs: Some(1),
        image: ImageTransform::training(SIDE),
        ..LoaderConfig::default()
    }
}

pub fn open(folder: &Folder) -> Dataset {
    Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap()
}

/// What a test looks at: everything a batch holds, and where the loader stood behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Got {
    pub ids: Vec<Option<(i32, i32)>>,
    pub pixels: Vec<u8>,
    pub labels: Vec<i64>,
    pub origins: Vec<Origin>,
    pub state: LoaderState,
}

pub fn take(batch: &Batch<HeapBuffer>, state: LoaderState) -> Got {
    let ids = batch.slots.iter().zip(batch.tokens.chunks(2));
    Got {
        ids: ids.map(|(slot, ids)| (slot.origin != Origin::Empty).then_some((ids[0], ids[1]))).collect(),
        pixels: batch.images.as_slice().to_vec(),
        labels: batch.labels.clone(),
        origins: batch.slots.iter().map(|slot| slot.origin).collect(),
        state,
    }
}

/// All batches up to the end, over the ends of epochs.
pub fn run(dataset: &Dataset, config: &LoaderConfig) -> Result<Vec<Got>, LoaderError> {
    drain(Loader::start(dataset.clone(), config, encode(), HeapBuffer::pool(config))?)
}

pub fn drain(mut loader: Loader<HeapBuffer>) -> Result<Vec<Got>, LoaderError> {
    let mut got = Vec::new();
    let mut ends = 0;
    while ends < 2 {
        match loader.next()? {
            Some(batch) => {
                ends = 0;
                got.push(take(&batch, loader.state()));
                loader.recycle(batch.images);
            }
            // Twice in a row: not only an epoch has ended.
            None => ends += 1,
        }
    }
    Ok(got)
}

/// The samples of batches, empty slots left out.
pub fn ids(got: &[Got]) -> Vec<(i32, i32)> {
    got.iter().flat_map(|got| got.ids.iter().flatten().copied()).collect()
}
