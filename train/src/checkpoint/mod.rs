//! What survives a kill: weights, optimiser, schedule, generator and loader state as one folder that is there whole or
//! not at all ([`folder`]), in open_clip's tensor names ([`tensors`]). Weights of others come in through [`import`], from
//! safetensors or from `torch.save` and TorchScript files, which [`pickle`] reads without running anything in them.
//!
//! The bytes are specified in `train/CHECKPOINTS.md`.

pub mod finite;
pub mod folder;
pub mod huggingface;
pub mod import;
pub mod matching;
pub mod pickle;
pub mod positions;
pub mod state;
pub mod tensors;

use std::fmt;
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError};

pub use finite::NotFinite;
pub use folder::{Best, Checkpoint, Checkpoints, Direction, Keep, Name};
pub use huggingface::check_config;
pub use import::{convert_weights, export_trained, export_weights, import_weights, named, statistics_of};
pub use matching::Mismatch;
pub(crate) use matching::restore;
pub use positions::Resized;
pub use state::{Difference, State};

use crate::model::ArchitectureError;
use crate::torch::TorchError;

/// Why a checkpoint could not be written or read. Every message is one line that names the file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that is not what its name says.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which rule it breaks, and what to do.
        what: String,
    },
    /// Tensors that are not the model's.
    #[error("{}: {mismatch}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Names that are missing, left over or of another shape.
        mismatch: Box<Mismatch>,
    },
    /// Weights or optimiser state of a run that has lost its numbers.
    #[error("{}: {found}; the run that made them has diverged, take an earlier checkpoint", path.display())]
    NotFinite {
        /// The file or the checkpoint to be.
        path: PathBuf,
        /// Which tensors.
        found: NotFinite,
    },
    /// The model's description.
    #[error("{}: {error}", path.display())]
    Architecture {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        error: ArchitectureError,
    },
    /// The newest checkpoint cannot be read, and an older one must not stand in unasked.
    #[error("{error}; remove {} or name another checkpoint{}", path.display(), older.as_ref().map_or(String::new(), |older| format!(", such as {}", older.display())))]
    Newest {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<CheckpointError>,
        /// The one before it.
        older: Option<PathBuf>,
    },
    /// A checkpoint of another model.
    #[error("{} holds {found}, not {wanted}; resume with --model {found} or name another checkpoint", path.display())]
    OtherModel {
        /// The checkpoint.
        path: PathBuf,
        /// Architecture in the checkpoint.
        found: String,
        /// Architecture of this run.
        wanted: String,
    },
    /// A run with other settings than the checkpoint's.
    #[error("{} was made with other settings: {}; resume with those, or start a new run with --init-from", path.display(), Listed(differences))]
    OtherConfig {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// There is nothing to resume from.
    #[error("{}: no checkpoint there; name a run's folder, its checkpoints folder or one checkpoint", path.display())]
    None {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Written by a later version of this program.
    #[error("{}: checkpoint format {found}; this program reads up to {known}, take a newer one", path.display())]
    NewerFormat {
        /// The state file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// A `.pt` file that is refused.
    #[error("{}: {error}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Why.
        error: pickle::PickleError,
    },
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl From<tch::TchError> for CheckpointError {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(TorchError::from_tch(&error))
    }
}

impl CheckpointError {
    fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), what: what.into() }
    }

    fn read(path: &Path, error: std::io::Error) -> Self {
        FileError::new(path, FileAction::Read, error).into()
    }
}

/// The first few entries and how many more there are.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (index, item) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
