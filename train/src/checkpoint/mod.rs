//! What survives a kill: weights, optimiser, schedule, generator and loader state as one folder that is there whole or
//! not at all ([`folder`]), in open_clip's tensor names ([`tensors`]). Weights of others come in through [`import`], from
//! safetensors or from `torch.save` and TorchScript files, which [`pickle`] reads without running anything in them.
//!
//! The bytes are specified in `train/CHECKPOINTS.md`.

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

pub use folder::{Best, Checkpoint, Checkpoints, Direction, Keep, Name};
pub use huggingface::check_config;
pub use import::{convert_weights, export_weights, import_weights};
pub use matching::Mismatch;
pub(crate) use matching::restore;
pub use positions::Resized;
pub use state::{Difference, State};

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
