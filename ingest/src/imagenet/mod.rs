//! ImageNet-1K as a source: images that are already here, as bytes, with the label of their class.
//!
//! [`ImageNetReader`] walks `ILSVRC2012_img_train.tar` (or the validation tar, or folders) in its own order and gives
//! blocks of rows, each with the places of its images; [`Images::read`] gets the bytes when the pipeline has room for
//! them, so a block of ten thousand images is a megabyte of places and not a gigabyte of pictures.
//!
//! ```text
//! members   archive or folder → images by place     synsets, matlab   devkit → classes
//! labels    validation image → class                captions, flickr  class or file name → caption
//! release   the names and places of the files
//! ```
//!
//! In a config file (`pairmill-ingest run --config imagenet.toml --output-format webdataset ...`):
//!
//! ```toml
//! [input]
//! url_list = "ILSVRC2012_img_train.tar"
//! [input.imagenet]
//! synsets = "ILSVRC2012_devkit_t12.tar.gz"
//! captions = { kind = "template", templates = "templates.txt", class_names = "classnames.txt" }
//! ```

mod captions;
mod error;
mod flickr;
mod labels;
pub mod matlab;
mod members;
mod release;
mod synsets;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

pub use captions::{Captions, Order};
pub use error::ImageNetError;
pub(crate) use members::each_image_file;
pub use release::CaptionKind;
pub use synsets::Classes;

use captions::{Captioner, Rule, Verdict};
use labels::Labels;
use members::{Member, Members, Place};

/// How ImageNet's images are labelled and captioned. The images themselves are the input's `url_list`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageNetConfig {
    /// The classes: the devkit (`ILSVRC2012_devkit_t12.tar.gz`), its `meta.mat`, or `LOC_synset_mapping.txt`. Without
    /// it the classes are those of the class tars or folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synsets: Option<PathBuf>,
    /// Labels of validation images: the devkit, its ground truth, or `LOC_val_solution.csv`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// What the images are captioned with.
    pub captions: Captions,
}

/// Images in and out per rule: `images` = the four dropped + `rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageNetCounters {
    /// Images met.
    pub images: u64,
    /// Dropped: not in `imagenet_captions.json`.
    pub uncaptioned: u64,
    /// Dropped: there, but without any text.
    pub blank: u64,
    /// Dropped: a word of the profanity list.
    pub profane: u64,
    /// Dropped: a caption that came before.
    pub duplicate: u64,
    /// Given out.
    pub rows: u64,
    /// Files that are no images.
    pub ignored: u64,
}

/// Rows of one shard, and where their images are.
#[derive(Debug)]
pub struct ImageBlock {
    /// In the schema of [`ImageNetReader::schema`].
    pub rows: RecordBatch,
    /// One for each row.
    pub images: Images,
}

/// The bytes of a block's rows, read one at a time.
#[derive(Debug)]
pub struct Images {
    root: Arc<Path>,
    archive: Option<Arc<File>>,
    places: Vec<(String, Place)>,
}

impl Images {
    /// The bytes of a row's image; `None` where there are more than `max_bytes` of them, or no such row.
    ///
    /// # Errors
    /// When the disk refuses, or the archive ends before the image does.
    pub fn read(&self, row: u32, max_bytes: u64) -> Result<Option<Vec<u8>>, ImageNetError> {
        let Some((name, place)) = self.places.get(row as usize) else { return Ok(None) };
        let read = || -> std::io::Result<Option<Vec<u8>>> {
            match (place, &self.archive) {
                (Place::Range { size, .. }, _) if *size > max_bytes => Ok(None),
                (Place::Range { offset, size }, Some(archive)) => {
                    let mut bytes = vec![0; *size as usize];
                    archive.read_exact_at(&mut bytes, *offset)?;
                    Ok(Some(bytes))
                }
                (Place::Range { .. }, None) => Ok(None),
                (Place::File(path), _) => {
                    let mut bytes = Vec::new();
                    File::open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
                    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
                }
            }
        };
        read().map_err(|error| ImageNetError::Member {
            path: self.root.to_path_buf(),
            member: name.clone(),
            error,
        })
    }
}

/// Walks the images. After an error it ends.
#[derive(Debug)]
pub struct ImageNetReader {
    root: Arc<Path>,
    members: Members,
    classes: Classes,
    labels: Option<Labels>,
    captioner: Captioner,
    schema: SchemaRef,
    counters: ImageNetCounters,
    failed: bool,
}

struct Row {
    member: Member,
    wnid: String,
    label: usize,
    caption: Option<String>,
}

impl ImageNetReader {
    /// Opens the images at `root`: the training or validation tar, a folder of class folders, or one of images.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another kind.
    pub fn open(root: &Path, config: &ImageNetConfig) -> Result<Self, ImageNetError> {
        let members = Members::open(root)?;
        // The devkit has both.
        let devkit = config.labels.as_ref().filter(|path| path.extension().is_some_and(|e| e == "gz"));
        let classes = match config.synsets.as_ref().or(devkit) {
            Some(path) => Classes::read(path)?,
            None => Classes::of_wnids(root, members.wnids()?),
        };
        let labels = config.labels.as_deref().map(|path| Labels::read(path, &classes)).transpose()?;
        let captioner = Captioner::open(&config.captions, &classes)?;
        let text = |name| Field::new(name, DataType::Utf8, true);
        let mut fields = vec![Field::new("label", DataType::Int64, true), text("wnid"), text("filename")];
        if captioner.has_captions() {
            fields.push(text("caption"));
        }
        fields.push(text("url"));
        let schema = Arc::new(Schema::new(fields));
        let counters = ImageNetCounters::default();
        Ok(Self { root: root.into(), members, classes, labels, captioner, schema, counters, failed: false })
    }

    /// Columns of every block: `label` (position of the WNID among the sorted ones), `wnid`, `filename`, `caption`
    /// where there are captions, and `url`, which is no address but `<wnid>/<filename>`.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The classes, in label order.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// What became of the images so far.
    pub fn counters(&self) -> ImageNetCounters {
        ImageNetCounters { ignored: self.members.ignored, ..self.counters }
    }

    /// The next rows, at most `max_rows` of them (0 counts as 1); `None` at the end.
    ///
    /// # Errors
    /// When archive or folder break off, or an image has no class.
    pub fn next_block(&mut self, max_rows: u64) -> Result<Option<ImageBlock>, ImageNetError> {
        let mut rows = Vec::new();
        while (rows.len() as u64) < max_rows.max(1) {
            match self.next_row()? {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let texts = |cell: fn(&Row) -> Option<&str>| -> ArrayRef {
            Arc::new(rows.iter().map(cell).collect::<StringArray>())
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| i64::try_from(row.label).ok()).collect::<Int64Array>()),
            texts(|row| Some(&row.wnid)),
            texts(|row| Some(&row.member.name)),
        ];
        if self.captioner.has_captions() {
            columns.push(texts(|row| row.caption.as_deref()));
        }
        let urls: StringArray =
            rows.iter().map(|row| Some(format!("{}/{}", row.wnid, row.member.name))).collect();
        columns.push(Arc::new(urls));
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        let places = rows.into_iter().map(|row| (row.member.name, row.member.place)).collect();
        let images = Images { root: self.root.clone(), archive: self.members.archive(), places };
        Ok(Some(ImageBlock { rows: batch, images }))
    }

    /// Passes over the next rows, at most `max_rows` of them; how many, `None` at the end.
    ///
    /// # Errors
    /// As [`ImageNetReader::next_block`].
    pub fn skip_block(&mut self, max_rows: u64) -> Result<Option<u64>, ImageNetError> {
        let mut rows = 0;
        while rows < max_rows.max(1) && self.next_row()?.is_some() {
            rows += 1;
        }
        Ok((rows > 0).then_some(rows))
    }

    fn next_row(&mut self) -> Result<Option<Row>, ImageNetError> {
        if self.failed {
            return Ok(None);
        }
        let row = self.find_row();
        self.failed = row.is_err();
        row
    }

    fn find_row(&mut self) -> Result<Option<Row>, ImageNetError> {
        while let Some(member) = self.members.next_member()? {
            self.counters.images += 1;
            let label = self.label(&member)?;
            match self.captioner.caption(&member.name, label)? {
                Verdict::Keep(caption) => {
                    self.counters.rows += 1;
                    let wnid = self.classes.wnids.get(label).cloned().unwrap_or_default();
                    return Ok(Some(Row { member, wnid, label, caption }));
                }
                Verdict::Drop(Rule::Uncaptioned) => self.counters.uncaptioned += 1,
                Verdict::Drop(Rule::Blank) => self.counters.blank += 1,
                Verdict::Drop(Rule::Profane) => self.counters.profane += 1,
                Verdict::Drop(Rule::Duplicate) => self.counters.duplicate += 1,
            }
        }
        Ok(None)
    }

    fn label(&self, member: &Member) -> Result<usize, ImageNetError> {
        let (path, name) = (self.root.to_path_buf(), member.name.clone());
        if let Some(wnid) = &member.wnid {
            return self.classes.label(wnid).ok_or_else(|| ImageNetError::UnknownClass {
                path,
                member: name,
                wnid: wnid.clone(),
                synsets: self.classes.path.display().to_string(),
            });
        }
        let Some(labels) = &self.labels else {
            return Err(ImageNetError::NoLabels { path, member: name });
        };
        let stem = member.name.split('.').next().unwrap_or_default();
        let number: Option<u64> = stem.rsplit('_').next().and_then(|digits| digits.parse().ok());
        number.and_then(|number| labels.by_number.get(&number)).copied().ok_or_else(|| {
            ImageNetError::NoLabel {
                path,
                member: name,
                labels: labels.path.clone(),
                count: labels.by_number.len(),
            }
        })
    }
}
