//! Inputs and outputs that are not tars in local folders: Parquet image shards, shards by URL. To the rest of
//! [`rewrite`](super) every input is a tar at a path, its sidecar beside it, and the output a folder; a [`Carrier`]
//! sees to it that the files are there while they are read, and takes away what is finished.

use std::fs;
use std::path::Path;

use arrow::datatypes::SchemaRef;

use super::RewriteError;
use super::rows::sidecar_of;
use crate::atomic::{FileAction, FileError};
use crate::stamp::{Depth, Parts, Stamp};
use crate::table::{SidecarReader, check_version_beside};
use crate::tar::{MappedTar, TarOptions};

/// Brings inputs and takes outputs. The methods are those of plain folders, for which there is nothing to do.
pub trait Carrier {
    /// Name of an input as the user knows it, and its bytes.
    fn named(&self, tar: &Path) -> (String, u64) {
        (tar.display().to_string(), fs::metadata(tar).map_or(0, |found| found.len()))
    }

    /// What an input and its sidecar hold, as far as that can be told without bringing them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn stamp(&self, tar: &Path) -> Result<Option<Stamp>, RewriteError> {
        let table = sidecar_of(tar);
        let mut parts = Parts::new("shard");
        for path in [Some(tar), Some(table.as_path()).filter(|table| table.is_file())].into_iter().flatten() {
            let stamp = Stamp::of(path, Depth::SAMPLED);
            let stamp = stamp.map_err(|e| FileError::new(path, FileAction::Read, e))?;
            parts.add("", &stamp.to_string());
        }
        Ok(Some(parts.finish()))
    }

    /// Columns of an input's sidecar, if it has one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn table_schema(&self, tar: &Path) -> Result<Option<SchemaRef>, RewriteError> {
        let path = sidecar_of(tar);
        Ok(path
            .is_file()
            .then(|| SidecarReader::open(&path))
            .transpose()?
            .map(|table| table.schema().clone()))
    }

    /// Puts an input and its sidecar at their paths.
    ///
    /// # Errors
    /// When they cannot be brought.
    fn bring(&self, _tar: &Path) -> Result<(), RewriteError> {
        Ok(())
    }

    /// The files are not needed for now.
    fn discard(&self, _tar: &Path) {}

    /// A file of the output is whole: `name` within the output's folder.
    ///
    /// # Errors
    /// When it cannot be taken.
    fn publish(&self, _name: &str) -> Result<(), RewriteError> {
        Ok(())
    }

    /// A shard of the output is whole.
    ///
    /// # Errors
    /// When it cannot be taken.
    fn publish_shard(&self, _shard: &str) -> Result<(), RewriteError> {
        Ok(())
    }
}

/// Tars in local folders to a local folder.
#[derive(Debug, Clone, Copy)]
pub struct InPlace;

impl Carrier for InPlace {}

/// All inputs, for as many passes as are needed.
pub(super) struct Inputs<'a> {
    pub paths: &'a [std::path::PathBuf],
    pub options: &'a TarOptions,
    pub carrier: &'a dyn Carrier,
}

impl Inputs<'_> {
    /// Shows `visit` every tar in order.
    pub fn each(
        &self,
        mut visit: impl FnMut(&MappedTar) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        for path in self.paths {
            self.carrier.bring(path)?;
            check_version_beside(path)?;
            let tar = MappedTar::open_with(path, self.options)?;
            visit(&tar)?;
            drop(tar);
            self.carrier.discard(path);
        }
        Ok(())
    }
}
