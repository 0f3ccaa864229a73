//! One rule applied to the rows of a batch that are left. The cheap ones look at whole columns and allocate nothing a
//! row.

use arrow::array::{Float64Array, RecordBatch, StringArray};
use pairmill_shards::draw::place;

use super::column::{Column, cell, number, numbers, text};
use super::distinct::Distinct;
use super::error::FilterError;
use super::language::is_foreign;
use super::predicate::Judge;
use super::subset::Threshold;
use super::words::WordList;

/// What a row must be to pass.
#[derive(Debug)]
pub(super) enum Check {
    /// Its URL has more than white space.
    HasUrl,
    /// Its caption has more than white space.
    HasCaption,
    /// The caption's length is within these.
    CaptionLength(Lengths),
    /// The column has one of these values.
    OneOf(Column, Vec<String>),
    /// The column has a value within this range.
    Within { column: Column, low: f64, high: f64 },
    /// Known sizes are not below these.
    Size { width: f64, height: f64 },
    /// The longer side is at most so many times the shorter, where both are known.
    AspectRatio(f64),
    /// The user's expression is true of it; a judge once the columns are known.
    True(String, Option<Judge>),
    /// The caption has none of these words.
    Clean(WordList),
    /// The caption may be English.
    English,
    /// No row that came this far had the value.
    First { column: &'static str, setting: &'static str, seen: Distinct },
    /// Drawn for the sample.
    Drawn { seed: u64, threshold: Threshold },
    /// Among the first.
    Prefix { left: u64 },
}

/// Bounds of a caption's length, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) chars: (u64, u64),
    pub(super) words: (u64, u64),
}

impl Lengths {
    fn permit(self, caption: &str) -> bool {
        // A character takes 1 to 4 bytes, so most captions need no counting.
        let (bytes, (least, most)) = (caption.len() as u64, self.chars);
        let chars_fit = if bytes < least || bytes > most.saturating_mul(4) {
            false
        } else if bytes / 4 >= least && bytes <= most {
            true
        } else {
            (least..=most).contains(&(caption.chars().count() as u64))
        };
        chars_fit
            && (self.words == (0, u64::MAX)
                || (self.words.0..=self.words.1).contains(&(caption.split_whitespace().count() as u64)))
    }
}

impl Check {
    /// The column of the table's own word that it needs.
    pub(super) fn column(&self) -> Option<Column> {
        match self {
            Self::OneOf(column, _) | Self::Within { column, .. } => Some(*column),
            _ => None,
        }
    }

    /// Removes from `alive`, the rows of `batch` that are left, those that fail.
    pub(super) fn retain(&mut self, batch: &RecordBatch, alive: &mut Vec<u32>) -> Result<(), FilterError> {
        match self {
            Self::HasUrl => retain_text(batch, "url", alive, |url| !is_blank(url)),
            Self::HasCaption => retain_text(batch, "caption", alive, |caption| !is_blank(caption)),
            Self::CaptionLength(lengths) => {
                let lengths = *lengths;
                retain_text(batch, "caption", alive, |caption| lengths.permit(caption.unwrap_or_default()))
            }
            Self::OneOf(column, wanted) => retain_text(batch, column.name(), alive, |value| {
                let value = value.unwrap_or_default();
                wanted.iter().any(|wanted| wanted == value)
            }),
            Self::Within { column, low, high } => {
                let (low, high) = (*low, *high);
                retain_numbers(batch, *column, alive, |value| {
                    value.is_some_and(|value| (low..=high).contains(&value))
                })
            }
            Self::Size { width, height } => {
                let (width, height) = (*width, *height);
                let fits =
                    |known: Option<f64>, least: f64| known.is_none_or(|known| known <= 0.0 || known >= least);
                retain_numbers(batch, Column::Width, alive, |value| fits(value, width))?;
                retain_numbers(batch, Column::Height, alive, |value| fits(value, height))
            }
            Self::AspectRatio(most) => {
                let (widths, heights) =
                    (numbers(batch, Column::Width.name())?, numbers(batch, Column::Height.name())?);
                let (Some(widths), Some(heights)) = (widths, heights) else { return Ok(()) };
                alive.retain(|&row| match (number(&widths, row), number(&heights, row)) {
                    (Some(w), Some(h)) if w > 0.0 && h > 0.0 => w.max(h) <= *most * w.min(h),
                    _ => true,
                });
                Ok(())
            }
            Self::True(_, judge) => judge.as_mut().map_or(Ok(()), |judge| judge.retain(batch, alive)),
            Self::Clean(words) => {
                retain_text(batch, "caption", alive, |caption| !words.is_in(caption.unwrap_or_default()))
            }
            Self::English => {
                retain_text(batch, "caption", alive, |caption| !is_foreign(caption.unwrap_or_default()))
            }
            Self::First { column, setting, seen } => {
                let (mut full, max) = (false, seen.max());
                retain_text(batch, column, alive, |value| {
                    let new = seen.insert(value.unwrap_or_default().trim());
                    full |= new.is_err();
                    new.unwrap_or(false)
                })?;
                if full { Err(FilterError::TooManyDistinct { setting, max }) } else { Ok(()) }
            }
            Self::Drawn { seed, threshold } => {
                for_places(batch, *seed, alive, |place| threshold.takes(place))
            }
            Self::Prefix { left } => {
                alive.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= alive.len() as u64;
                Ok(())
            }
        }
    }
}

/// Keeps the rows whose place in the draw of `seed` is wanted.
pub(super) fn for_places(
    batch: &RecordBatch,
    seed: u64,
    alive: &mut Vec<u32>,
    mut wanted: impl FnMut(u64) -> bool,
) -> Result<(), FilterError> {
    let (urls, captions) = (text(batch, "url")?, text(batch, "caption")?);
    alive.retain(|&row| {
        let url = urls.as_deref().and_then(|urls| cell(urls, row)).unwrap_or_default();
        let caption = captions.as_deref().and_then(|captions| cell(captions, row)).unwrap_or_default();
        wanted(place(seed, url.as_bytes(), caption.as_bytes()))
    });
    Ok(())
}

fn is_blank(value: Option<&str>) -> bool {
    value.is_none_or(|value| value.trim().is_empty())
}

fn retain_text(
    batch: &RecordBatch,
    name: &'static str,
    alive: &mut Vec<u32>,
    mut wanted: impl FnMut(Option<&str>) -> bool,
) -> Result<(), FilterError> {
    if let Some(values) = text(batch, name)? {
        let values: &StringArray = &values;
        alive.retain(|&row| wanted(cell(values, row)));
    }
    Ok(())
}

fn retain_numbers(
    batch: &RecordBatch,
    column: Column,
    alive: &mut Vec<u32>,
    mut wanted: impl FnMut(Option<f64>) -> bool,
) -> Result<(), FilterError> {
    if let Some(values) = numbers(batch, column.name())? {
        let values: &Float64Array = &values;
        alive.retain(|&row| wanted(number(values, row)));
    }
    Ok(())
}
