//! From the link a table has to the address of the picture. Sites differ, so each source brings a function; this is
//! what it is given and what it may answer.

use arrow::array::{RecordBatch, StringBuilder};

use super::column::{Column, cell, number, numbers, text};
use super::error::FilterError;
use super::funnel::Rule;

/// What a table says about one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link<'a> {
    /// As the table has it, white space around it cut off; not empty.
    pub url: &'a str,
    /// Media type.
    pub mime_type: Option<&'a str>,
    /// Pixels of the original.
    pub width: Option<f64>,
    /// Pixels of the original.
    pub height: Option<f64>,
    /// Pixels that the run needs of the shorter side.
    pub wanted: u32,
}

/// Where the picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Where the link says.
    Same,
    /// Here instead.
    At(String),
    /// Nowhere: the row is dropped by this rule.
    Nowhere(Rule),
}

/// A source's rule.
pub type AddressRule = fn(&Link<'_>) -> Address;

/// Applies `rule` to the rows of `alive`, which loses those that lead nowhere. Gives the column of addresses, and the
/// rows lost by rule.
pub(super) fn resolve(
    batch: &RecordBatch,
    rule: AddressRule,
    wanted: u32,
    alive: &mut Vec<u32>,
) -> Result<(arrow::array::StringArray, Vec<Rule>), FilterError> {
    let urls = text(batch, "url")?;
    let mime_types = text(batch, Column::MimeType.name())?;
    let widths = numbers(batch, Column::Width.name())?;
    let heights = numbers(batch, Column::Height.name())?;
    let mut addresses = StringBuilder::with_capacity(batch.num_rows(), batch.num_rows() * 64);
    let mut lost = Vec::new();
    let mut filled = 0;
    alive.retain(|&row| {
        let url = urls.as_deref().and_then(|urls| cell(urls, row)).unwrap_or_default();
        let link = Link {
            url: url.trim(),
            mime_type: mime_types.as_deref().and_then(|types| cell(types, row)),
            width: widths.as_ref().and_then(|widths| number(widths, row)),
            height: heights.as_ref().and_then(|heights| number(heights, row)),
            wanted,
        };
        let found = rule(&link);
        if let Address::Nowhere(rule) = found {
            lost.push(rule);
            return false;
        }
        // Rows that were dropped before have no address.
        while filled < row {
            addresses.append_null();
            filled += 1;
        }
        match found {
            Address::At(address) => addresses.append_value(address),
            _ => addresses.append_value(url),
        }
        filled += 1;
        true
    });
    while (filled as usize) < batch.num_rows() {
        addresses.append_null();
        filled += 1;
    }
    Ok((addresses.finish(), lost))
}
