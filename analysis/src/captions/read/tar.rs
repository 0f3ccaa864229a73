//! Captions of a tar shard: the txt member or, where there is none, a field of the json member. The tar is read as a
//! stream, so memory holds one sample. A member's name need not be UTF-8 here: nothing rests on it.

use std::path::Path;

use arrow::array::StringViewBuilder;
use pairmill_shards::table::check_version_beside;
use pairmill_shards::tar::{BadSamples, EndMarker, TarOptions, TarSamples};

use super::{BATCH_ROWS, Batch, CaptionColumn};
use crate::captions::error::CaptionsError;

/// Reads one tar.
pub struct CaptionTar {
    samples: TarSamples,
    field: String,
}

impl CaptionTar {
    /// Opens it.
    ///
    /// # Errors
    /// When that fails.
    pub fn open(path: &Path, column: &CaptionColumn) -> Result<Self, CaptionsError> {
        check_version_beside(path)?;
        let end_marker = EndMarker::Optional;
        let options = TarOptions { end_marker, bad_samples: BadSamples::Keep, ..TarOptions::default() };
        Ok(Self { samples: TarSamples::open(path, options)?, field: column.name.clone() })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, CaptionsError> {
        let mut captions = StringViewBuilder::new();
        let (mut num_rows, mut num_not_utf8) = (0, 0);
        for sample in self.samples.by_ref().take(BATCH_ROWS) {
            let sample = sample?;
            num_rows += 1;
            match sample.caption() {
                Some(bytes) => {
                    let text = String::from_utf8_lossy(bytes);
                    num_not_utf8 += u64::from(text.len() != bytes.len() || text.as_bytes() != bytes);
                    captions.append_value(text);
                }
                None => {
                    let json =
                        sample.metadata().and_then(|m| serde_json::from_slice::<serde_json::Value>(m).ok());
                    captions.append_option(
                        json.as_ref().and_then(|j| j.get(&self.field)).and_then(|c| c.as_str()),
                    );
                }
            }
        }
        Ok((num_rows > 0).then(|| Batch { captions: captions.finish(), num_failed: 0, num_not_utf8 }))
    }
}
