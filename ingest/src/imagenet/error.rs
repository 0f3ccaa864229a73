//! What can be wrong with ImageNet's files, each as one line that names the file, the member and the fix.

use std::path::{Path, PathBuf};

use pairmill_shards::tar::TarError;

use super::matlab::MatError;

/// Why ImageNet's files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageNetError {
    /// A library panicked on the files' bytes.
    #[error("{}: the reader {reason}, after image {image}; please report this", path.display())]
    Panic {
        /// The archive or folder.
        path: PathBuf,
        /// Images met before.
        image: u64,
        /// Where it panicked and what it said.
        reason: String,
    },
    /// The operating system refused.
    #[error("{}: cannot read: {error}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A tar is damaged.
    #[error("{0}; the archive is damaged or cut short, fetch it again")]
    Tar(#[from] TarError),
    /// An image's bytes could not be read.
    #[error("{}: cannot read {member}: {error}; the archive was cut short or changed while it was read", path.display())]
    Member {
        /// Archive or folder.
        path: PathBuf,
        /// The image.
        member: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A folder or archive without any image.
    #[error("{}: no image here; give ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, or the folder that holds the class folders (ILSVRC/Data/CLS-LOC/train) or the images", path.display())]
    NoImages {
        /// What was given.
        path: PathBuf,
    },
    /// A class tar or folder that is named after no WNID.
    #[error("{}: `{name}` is named after no WordNet id (n and eight digits); this is not ImageNet's training set", path.display())]
    NotAClass {
        /// Archive or folder.
        path: PathBuf,
        /// The member.
        name: String,
    },
    /// An image whose class is not among the synsets.
    #[error("{}: {member} is of class {wnid}, which {synsets} does not list; give the synsets of the same release", path.display())]
    UnknownClass {
        /// Archive or folder.
        path: PathBuf,
        /// The image.
        member: String,
        /// Its class.
        wnid: String,
        /// The synsets' file.
        synsets: String,
    },
    /// A validation image, but nothing that says its class.
    #[error("{}: {member} is a validation image; give its labels: labels = the devkit (ILSVRC2012_devkit_t12.tar.gz), its ground truth, or LOC_val_solution.csv", path.display())]
    NoLabels {
        /// Archive or folder.
        path: PathBuf,
        /// The image.
        member: String,
    },
    /// A validation image whose number the labels do not have.
    #[error("{}: {member} has no label in {}, which holds {count}; give the labels of the same release", path.display(), labels.display())]
    NoLabel {
        /// Archive or folder.
        path: PathBuf,
        /// The image.
        member: String,
        /// The labels' file.
        labels: PathBuf,
        /// Labels in it.
        count: usize,
    },
    /// Labels mean nothing without the classes.
    #[error("{}: these labels need the classes; give synsets = ILSVRC2012_devkit_t12.tar.gz or its meta.mat for the devkit's, LOC_synset_mapping.txt for Kaggle's", path.display())]
    NoSynsets {
        /// The labels' file.
        path: PathBuf,
    },
    /// `meta.mat` is not as it should be.
    #[error("{}: {error}; give meta.mat of ILSVRC2012_devkit_t12.tar.gz", path.display())]
    Mat {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: MatError,
    },
    /// The devkit lacks a file.
    #[error("{}: no {member} in it; give ILSVRC2012_devkit_t12.tar.gz", path.display())]
    NotTheDevkit {
        /// The archive.
        path: PathBuf,
        /// The missing member.
        member: &'static str,
    },
    /// A line of a text file is not as it should be.
    #[error("{}: line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The class names do not fit the classes.
    #[error("{}: {found} class names for {expected} classes; give one a line, in the order of the sorted WNIDs", path.display())]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// Names.
        found: usize,
        /// Classes.
        expected: usize,
    },
    /// `imagenet_captions.json` is not as it should be.
    #[error("{}: at byte {offset}: {reason}; give imagenet_captions.json as it was released", path.display())]
    Captions {
        /// The file.
        path: PathBuf,
        /// Where the object begins, or where the file ends.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file that should be small is not.
    #[error("{}: larger than {} MiB; this is not the file that was meant", path.display(), max_bytes >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max_bytes: u64,
    },
    /// A batch could not be put together.
    #[error("internal: {0}; please report this")]
    Batch(#[from] arrow::error::ArrowError),
}

impl ImageNetError {
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Unreadable { path: path.to_owned(), error }
    }
}
