//! OpenAI's list of the 15 M photos with English text, and the test whether a line is on it, in memory that the
//! 100 M lines of the release bound and not the list: a bit a line (12.5 MB), or two bytes and a bit a photo.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::YfccError;
use super::lines::Lines;

/// Line numbers above this are no line numbers. YFCC100M has 100 M lines.
pub(super) const MAX_LINES: u64 = 400_000_000;
/// Photo ids above this are no photo ids. Those of 2014 end at 1.5e10.
const MAX_PHOTO: u64 = 1 << 36;
/// Entries that a list may have; OpenAI's has 14.8 M.
const MAX_LISTED: u64 = 100_000_000;
/// Entries whose photo id is kept to be compared at once; the rest is compared in sum, at the end.
const KEPT: usize = 4096;

/// What the list and the metadata are joined on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinOn {
    /// The line number: the first column of 25, the count of lines from 0 where there are 23.
    #[default]
    Line,
    /// The photo id.
    PhotoId,
}

/// The list in memory.
pub(super) struct Subset {
    path: PathBuf,
    members: Members,
    listed: u64,
    /// Sum of the ids' hashes: of the list, less those found.
    unfound: u64,
    found: u64,
}

enum Members {
    Lines {
        bits: Vec<u64>,
        kept: HashMap<u64, u64>,
    },
    /// Low 16 bits of the ids under the rest of them, sorted.
    Photos(HashMap<u64, Vec<u16>>),
}

impl Subset {
    /// Reads the list: line number, photo id and hash, or the first two of them.
    pub fn read(path: &Path, join: JoinOn) -> Result<Self, YfccError> {
        let mut lines = Lines::open(path)?;
        let mut members = match join {
            JoinOn::Line => Members::Lines { bits: Vec::new(), kept: HashMap::new() },
            JoinOn::PhotoId => Members::Photos(HashMap::new()),
        };
        let (mut listed, mut unfound) = (0, 0u64);
        while lines.advance()? {
            let (line, photo) = entry(&lines)?;
            if photo >= MAX_PHOTO || lines.number() > MAX_LISTED {
                let (path, line) = (path.to_owned(), lines.number());
                let what = if photo >= MAX_PHOTO { "photo id" } else { "number of lines" };
                return Err(YfccError::NotTheList { path, line, what });
            }
            let new = match &mut members {
                Members::Lines { bits, kept } => {
                    if line >= MAX_LINES {
                        let path = path.to_owned();
                        return Err(YfccError::LineNumber { path, line: lines.number(), number: line });
                    }
                    let word = (line / 64) as usize;
                    if word >= bits.len() {
                        bits.resize(word + 1, 0);
                    }
                    let new = bits[word] & (1 << (line % 64)) == 0;
                    bits[word] |= 1 << (line % 64);
                    if kept.len() < KEPT {
                        kept.insert(line, photo);
                    }
                    new
                }
                Members::Photos(photos) => {
                    photos.entry(photo >> 16).or_default().push(photo as u16);
                    true
                }
            };
            if new {
                listed += 1;
                unfound = unfound.wrapping_add(mixed(photo));
            }
        }
        if let Members::Photos(photos) = &mut members {
            listed = 0;
            for low in photos.values_mut() {
                low.sort_unstable();
                low.dedup();
                low.shrink_to_fit();
                listed += low.len() as u64;
            }
        }
        if listed == 0 {
            return Err(YfccError::Empty { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), members, listed, unfound, found: 0 })
    }

    /// Photos on the list.
    pub fn listed(&self) -> u64 {
        self.listed
    }

    /// Photos on the list that no line had so far.
    pub fn missing(&self) -> u64 {
        self.listed.saturating_sub(self.found)
    }

    /// Whether the line is listed. `photo` is asked for only where it matters.
    pub fn take(
        &mut self,
        dataset: &Path,
        line: impl FnOnce() -> Result<u64, YfccError>,
        photo: impl FnOnce() -> Result<u64, YfccError>,
    ) -> Result<bool, YfccError> {
        let photo = match &self.members {
            Members::Lines { bits, kept } => {
                let line = line()?;
                let word = usize::try_from(line / 64).ok().and_then(|word| bits.get(word));
                if word.is_none_or(|word| word & (1 << (line % 64)) == 0) {
                    return Ok(false);
                }
                let photo = photo()?;
                if let Some(&listed) = kept.get(&line)
                    && listed != photo
                {
                    return Err(YfccError::OtherPhoto {
                        path: dataset.to_owned(),
                        subset: self.path.clone(),
                        number: line,
                        found: photo,
                        listed,
                    });
                }
                photo
            }
            Members::Photos(photos) => {
                let photo = photo()?;
                let low = photos.get(&(photo >> 16));
                if low.is_none_or(|low| low.binary_search(&(photo as u16)).is_err()) {
                    return Ok(false);
                }
                photo
            }
        };
        self.found += 1;
        self.unfound = self.unfound.wrapping_sub(mixed(photo));
        Ok(true)
    }

    /// After the last line: whether the photos found on the listed lines are the listed ones, as far as that can be
    /// said without keeping them all.
    pub fn check(&self, dataset: &Path) -> Result<(), YfccError> {
        if matches!(self.members, Members::Lines { .. }) && self.found == self.listed && self.unfound != 0 {
            return Err(YfccError::OtherPhotos { path: dataset.to_owned(), subset: self.path.clone() });
        }
        Ok(())
    }
}

fn entry(lines: &Lines) -> Result<(u64, u64), YfccError> {
    let mut fields = lines.line().split(|&byte| byte == b'\t');
    let found = fields.clone().count();
    let (Some(line), Some(photo), 2..=3) = (fields.next(), fields.next(), found) else {
        return Err(YfccError::Columns {
            path: lines.path().to_owned(),
            line: lines.number(),
            found,
            expected: "3 (line number, photo id, hash)",
            fix: "give OpenAI's yfcc100m_subset_data.tsv.bz2",
        });
    };
    Ok((number(lines, line, "line number")?, number(lines, photo, "photo id")?))
}

/// A whole number in a field.
pub(super) fn number(lines: &Lines, field: &[u8], name: &'static str) -> Result<u64, YfccError> {
    std::str::from_utf8(field).ok().and_then(|text| text.parse().ok()).ok_or_else(|| YfccError::Number {
        path: lines.path().to_owned(),
        line: lines.number(),
        field: name,
        found: String::from_utf8_lossy(field).chars().take(40).collect(),
        fix: if lines.number() == 1 { "; the file must not have a header line" } else { "" },
    })
}

/// SplitMix64's finaliser.
pub(super) fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
