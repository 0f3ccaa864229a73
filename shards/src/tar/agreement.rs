//! The property the fuzzer and the mutation tests hold: on any bytes at all, neither reader panics, and the
//! streaming and the mapped reader see the same samples or the same error. Links are followed by the mapped one alone.

use std::path::Path;

use super::{BadSamples, EndMarker, TarOptions, TarReader, TarRule, Unsorted, scan};
use crate::sample::{Member, Sample};

/// The readers disagree about a tar: a defect of this crate, with what each saw.
#[derive(Debug, thiserror::Error)]
#[error("streaming saw {streamed}; mapped saw {mapped}")]
pub struct Disagreement {
    /// What the streaming reader saw.
    pub streamed: String,
    /// What the mapped reader saw.
    pub mapped: String,
}

/// Reads `bytes` both ways, strictly and leniently. Returns the number of samples, or `None` for a bad tar or one with
/// links.
///
/// # Errors
/// When the readers disagree.
pub fn check_readers_agree(bytes: &[u8]) -> Result<Option<usize>, Disagreement> {
    check(bytes, &EndMarker::Optional.into())?;
    for bad_samples in [BadSamples::Skip, BadSamples::Keep] {
        check(bytes, &TarOptions { bad_samples, unsorted: Unsorted::Split, ..TarOptions::default() })?;
    }
    // Joining has no counterpart in a stream; it must only survive.
    let joined =
        TarOptions { unsorted: Unsorted::Join, bad_samples: BadSamples::Keep, ..TarOptions::default() };
    let _ = scan(bytes, Path::new("bytes.tar"), &joined);
    check(bytes, &TarOptions::default())
}

fn check(bytes: &[u8], options: &TarOptions) -> Result<Option<usize>, Disagreement> {
    let path = Path::new("bytes.tar");
    let mut streamed: Vec<Sample> = Vec::new();
    let mut stream_error = None;
    for sample in TarReader::with_options(bytes, path, options) {
        match sample {
            Ok(sample) => streamed.push(sample),
            Err(e) if matches!(e.rule, TarRule::LinkInStream { .. }) => {
                // Nothing to compare, but that it is survived.
                let _ = scan(bytes, path, options);
                return Ok(None);
            }
            Err(e) => stream_error = Some(e.to_string()),
        }
    }
    let disagreement = |mapped: String| Disagreement {
        streamed: stream_error.clone().unwrap_or_else(|| format!("{} samples", streamed.len())),
        mapped,
    };
    match (scan(bytes, path, options), &stream_error) {
        (Err(mapped), Some(streamed)) if mapped.to_string() == *streamed => Ok(None),
        (Err(mapped), _) => Err(disagreement(mapped.to_string())),
        (Ok(index), None) => {
            let mut mapped = Vec::with_capacity(index.len());
            for span in index.iter() {
                let mut members = Vec::new();
                for c in span.components() {
                    let range = usize::try_from(c.offset).ok().zip(usize::try_from(c.offset + c.size).ok());
                    let data = range.and_then(|(from, to)| bytes.get(from..to));
                    let Some(data) = data else {
                        return Err(disagreement(format!("member `{}` outside the file", c.name)));
                    };
                    members.push(Member { ext: c.ext.to_owned(), data: data.to_vec() });
                }
                mapped.push(Sample { key: span.key().to_owned(), members });
            }
            if mapped == streamed {
                Ok(Some(mapped.len()))
            } else {
                Err(disagreement(format!("{} other samples", mapped.len())))
            }
        }
        (Ok(index), Some(_)) => Err(disagreement(format!("{} samples", index.len()))),
    }
}
