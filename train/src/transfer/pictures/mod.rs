//! The pictures of a task, decoded once and shared by all runs on it: whole for those that are trained on, as finished
//! squares for those that are only looked at. One pass over the dataset's archives fills it; threads decode behind it.

pub mod blobs;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::bounded;
use pairmill_pixels::{CropConfig, Cropper, PixelError, Placement, Rgb8, TruncatedPolicy, View};
use pairmill_shards::atomic::{FileAction, FileError};

use self::blobs::{Blob, Blobs, Budget};
use super::draw::{Draw, Key};
use crate::error::TrainError;
use pairmill_datasets::{DatasetError, LabelledSet, Part, Picture};

/// Pictures on their way to the threads that decode.
const AHEAD: usize = 8;

/// A square for evaluation: the shorter side to `resize` pixels, then the centre `side` × `side`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Square {
    /// Shorter side after resizing.
    pub resize: u32,
    /// Side of the square.
    pub side: u32,
}

impl Square {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        self.side as usize * self.side as usize * 3
    }

    fn placement(self) -> Placement {
        Placement { view: View::CentreOf { resize: self.resize }, mirrored: false }
    }
}

/// Which pictures are needed, and as what.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Whole, to cut from again and again.
    pub whole: BTreeSet<Key>,
    /// As squares.
    pub squares: BTreeMap<Square, BTreeSet<Key>>,
}

impl Wanted {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.squares.values().all(BTreeSet::is_empty)
    }
}

/// A picture to cut from.
#[derive(Debug)]
enum Whole {
    Decoded {
        width: u32,
        height: u32,
        rgb: Blob,
    },
    /// Where all decoded ones would not fit.
    Encoded(Blob),
}

/// What was kept.
#[derive(Debug)]
pub struct Pictures {
    blobs: Blobs,
    whole: BTreeMap<Key, Whole>,
    squares: BTreeMap<(Square, Key), Blob>,
    /// Those that cannot be decoded: file and reason.
    unreadable: BTreeMap<Key, String>,
    /// Images of the whole set, so that what is refused does not depend on how much is left to do.
    num_images: usize,
}

/// A picture on its way to a thread.
enum Bytes {
    Encoded(Vec<u8>),
    Rgb(Rgb8),
}

impl Pictures {
    /// Reads and decodes what is wanted. `folder` takes what does not fit into memory.
    ///
    /// A picture that cannot be decoded is left out and noted ([`Pictures::unreadable`]).
    ///
    /// # Errors
    /// When an archive is damaged or a file cannot be read, naming it.
    pub fn collect(
        set: &LabelledSet,
        wanted: &Wanted,
        budget: Budget,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let kept = Mutex::new((BTreeMap::new(), BTreeMap::new()));
        let blobs = Blobs::new(budget, folder);
        let unreadable = Mutex::new(BTreeMap::new());
        let failed: Mutex<Option<TrainError>> = Mutex::new(None);
        let (send, receive) = bounded::<(Key, Bytes)>(AHEAD);
        let read = std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                let receive = receive.clone();
                let (kept, unreadable, failed, blobs) = (&kept, &unreadable, &failed, &blobs);
                scope.spawn(move || {
                    let mut worker = Worker::default();
                    for (key, bytes) in receive {
                        match worker.make(set, wanted, blobs, key, bytes) {
                            Ok((whole, squares)) => {
                                let mut kept = lock(kept);
                                kept.0.extend(whole.map(|whole| (key, whole)));
                                kept.1.extend(squares);
                            }
                            Err(TrainError::BadPicture { file, error }) => {
                                lock(unreadable).insert(key, format!("{file}: {error}"));
                            }
                            Err(error) => {
                                lock(failed).get_or_insert(error);
                                // The reader finds nobody listening and stops.
                                return;
                            }
                        }
                    }
                });
            }
            drop(receive);
            let any = |key: &Key| {
                wanted.whole.contains(key) || wanted.squares.values().any(|set| set.contains(key))
            };
            let read = set.visit(
                |part, index| any(&(part, index)),
                |part, index, picture| {
                    let bytes = match picture {
                        Picture::Encoded(bytes) => Bytes::Encoded(bytes.to_vec()),
                        Picture::Rgb { width, height, pixels } => {
                            Bytes::Rgb(Rgb8 { width, height, data: pixels.to_vec() })
                        }
                    };
                    if lock(&failed).is_some() || send.send(((part, index), bytes)).is_err() {
                        return Err(Stopped::Worker);
                    }
                    Ok(())
                },
            );
            drop(send);
            read
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        match read {
            Ok(()) => {}
            Err(Stopped::Dataset(error)) => return Err(error.into()),
            Err(Stopped::Worker) => return Err(TrainError::Transfer("the decoders stopped".into())),
        }
        let (whole, squares) = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        let unreadable = unreadable.into_inner().unwrap_or_else(PoisonError::into_inner);
        let num_images: usize = Part::ALL.into_iter().map(|part| set.part(part).len()).sum();
        Ok(Self { blobs, whole, squares, unreadable, num_images })
    }

    /// Pictures that cannot be decoded: each with its file and what is wrong.
    pub fn unreadable(&self) -> &BTreeMap<Key, String> {
        &self.unreadable
    }

    /// What to say of pictures that cannot be decoded, if there are any. One is always let pass, unless `limit` is 0.
    ///
    /// # Errors
    /// When they are more than the share `limit` of the images of `task`.
    pub fn check_unreadable(&self, task: &str, limit: f64) -> Result<Option<String>, TrainError> {
        let Some(example) = self.unreadable.values().next() else { return Ok(None) };
        let (count, of) = (self.unreadable.len(), self.num_images);
        if count as f64 > limit * of as f64 && (count > 1 || limit <= 0.0) {
            return Err(TrainError::Unreadable {
                task: task.to_owned(),
                count,
                of,
                percent: 100.0 * limit,
                example: example.clone(),
            });
        }
        Ok(Some(format!(
            "{task}: {count} of {of} images cannot be decoded and are left out, such as {example}"
        )))
    }

    /// A draw without the pictures that cannot be decoded.
    pub fn readable<'a>(&self, draw: &'a Draw) -> Cow<'a, Draw> {
        if self.unreadable.is_empty() {
            return Cow::Borrowed(draw);
        }
        let of = |keys: &[Key]| -> Vec<Key> {
            keys.iter().copied().filter(|key| !self.unreadable.contains_key(key)).collect()
        };
        Cow::Owned(Draw { train: of(&draw.train), val: of(&draw.val), test: of(&draw.test) })
    }

    /// Cuts a window out of a picture that was wanted whole; `place` is told its width and height in pixels.
    ///
    /// # Errors
    /// When it was not wanted, cannot be read back or (where it is kept encoded) cannot be decoded.
    pub fn cut(
        &self,
        key: Key,
        cutter: &mut Cutter,
        place: impl FnOnce(u32, u32) -> Placement,
        out: &mut [u8],
    ) -> Result<(), TrainError> {
        let missing = || TrainError::Transfer(format!("{} picture {} was not kept", key.0.as_str(), key.1));
        match self.whole.get(&key).ok_or_else(missing)? {
            Whole::Decoded { width, height, rgb } => {
                let rgb = self.blobs.read(rgb, &mut cutter.scratch).map_err(spill)?;
                cutter.cropper.write_rgb(rgb, *width, *height, place(*width, *height), out)
            }
            Whole::Encoded(bytes) => {
                let bytes = self.blobs.read(bytes, &mut cutter.scratch).map_err(spill)?;
                cutter.cropper.write(bytes, place, out)
            }
        }
        .map_err(|error| TrainError::Transfer(format!("{} picture {}: {error}", key.0.as_str(), key.1)))
    }

    /// Copies a finished square.
    ///
    /// # Errors
    /// When it was not wanted or cannot be read back.
    pub fn square(
        &self,
        square: Square,
        key: Key,
        scratch: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<(), TrainError> {
        let missing = || TrainError::Transfer(format!("{} square {} was not kept", key.0.as_str(), key.1));
        let blob = self.squares.get(&(square, key)).ok_or_else(missing)?;
        out.copy_from_slice(self.blobs.read(blob, scratch).map_err(spill)?);
        Ok(())
    }

    /// Bytes in memory and in the file.
    pub fn sizes(&self) -> (u64, u64) {
        self.blobs.sizes()
    }
}

/// Cuts windows of one size; one a thread.
#[derive(Debug)]
pub struct Cutter {
    cropper: Cropper,
    scratch: Vec<u8>,
}

impl Cutter {
    /// For squares of `side` pixels.
    ///
    /// # Errors
    /// When the codec gives no handle.
    pub fn new(side: u32) -> Result<Self, TrainError> {
        let cropper = Cropper::new(&crop_config(side)).map_err(|e| TrainError::Transfer(e.to_string()))?;
        Ok(Self { cropper, scratch: Vec::new() })
    }
}

/// Decoding of labelled pictures: at full size, as PIL does; of a file that ends early what is there.
fn crop_config(side: u32) -> CropConfig {
    CropConfig { side, dct_scaling: false, truncated: TruncatedPolicy::Keep, ..CropConfig::default() }
}

#[derive(Default)]
struct Worker {
    croppers: BTreeMap<u32, Cropper>,
}

type Kept = (Option<Whole>, Vec<((Square, Key), Blob)>);

impl Worker {
    /// Decodes a picture and keeps it in the forms that are wanted.
    fn make(
        &mut self,
        set: &LabelledSet,
        wanted: &Wanted,
        blobs: &Blobs,
        key: Key,
        bytes: Bytes,
    ) -> Result<Kept, TrainError> {
        let bad = |error: PixelError| TrainError::BadPicture { file: set.file(key.0, key.1), error };
        let (Rgb8 { width, height, data: rgb }, encoded) = match bytes {
            Bytes::Encoded(bytes) => (self.cropper(1)?.decode_rgb(&bytes).map_err(bad)?, Some(bytes)),
            Bytes::Rgb(picture) => (picture, None),
        };
        let mut squares = Vec::new();
        for (&square, _) in wanted.squares.iter().filter(|(_, keys)| keys.contains(&key)) {
            let mut out = vec![0; square.bytes()];
            let cropper = self.cropper(square.side)?;
            cropper.write_rgb(&rgb, width, height, square.placement(), &mut out).map_err(bad)?;
            squares.push(((square, key), blobs.keep(out).map_err(spill)?));
        }
        let whole = match (wanted.whole.contains(&key), encoded) {
            (false, _) => None,
            (true, Some(bytes)) if !blobs.has_room(rgb.len()) => {
                Some(Whole::Encoded(blobs.keep(bytes).map_err(spill)?))
            }
            (true, _) => Some(Whole::Decoded { width, height, rgb: blobs.keep(rgb).map_err(spill)? }),
        };
        Ok((whole, squares))
    }

    fn cropper(&mut self, side: u32) -> Result<&mut Cropper, TrainError> {
        use std::collections::btree_map::Entry;
        match self.croppers.entry(side) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let made = Cropper::new(&crop_config(side));
                Ok(entry.insert(made.map_err(|error| TrainError::Transfer(error.to_string()))?))
            }
        }
    }
}

enum Stopped {
    Dataset(DatasetError),
    Worker,
}

impl From<DatasetError> for Stopped {
    fn from(error: DatasetError) -> Self {
        Self::Dataset(error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spill(error: std::io::Error) -> TrainError {
    FileError::new("the file of kept pictures", FileAction::Write, error).into()
}
