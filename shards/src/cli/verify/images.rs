//! One image's bytes against what its name and row promise.

use pairmill_pixels::{Format, Limits, probe};

use super::Depth;
use super::finding::Rule;
use super::table::Expected;

/// What is wrong with the image of a success. Without `--images` only emptiness shows, without `--hashes` no hash.
pub(super) fn problems(
    bytes: &[u8],
    ext: Option<&str>,
    expected: &Expected,
    depth: Depth,
) -> Vec<(Rule, String)> {
    let mut problems = Vec::new();
    // Sizes are null when the image was kept as it came: then its format may differ from its name, and its hash is
    // that of the stored bytes. Otherwise the hash is of bytes that are gone.
    let as_it_came = expected.width.is_none();
    if depth.images || bytes.is_empty() {
        let size = expected.width.zip(expected.height);
        problems.extend(image_problem(bytes, ext.filter(|_| !as_it_came), size).map(|p| (Rule::Image, p)));
    }
    if let Some((kind, hash)) = expected.hash.as_ref().filter(|_| depth.hashes && as_it_came) {
        let found = kind.hex_digest(bytes);
        if found != *hash {
            problems.push((Rule::Hash, format!("{kind} of the image is {found}, the table says {hash}")));
        }
    }
    problems
}

/// What is wrong with an image by its header: no image, another format than `ext` says, another size than promised.
pub(super) fn image_problem(bytes: &[u8], ext: Option<&str>, size: Option<(i32, i32)>) -> Option<String> {
    if bytes.is_empty() {
        return Some("the image is empty".to_owned());
    }
    let header = match probe(bytes) {
        Ok(header) => header,
        Err(error) => return Some(format!("the image cannot be read: {error}")),
    };
    if let Err(error) = Limits::default().check(&header) {
        return Some(error.to_string());
    }
    let promised = match ext {
        Some("jpg" | "jpeg") => Some(Format::Jpeg),
        Some("png") => Some(Format::Png),
        Some("webp") => Some(Format::Webp),
        _ => None,
    };
    if let Some(promised) = promised.filter(|format| *format != header.format) {
        return Some(format!("the image is {}, its name says {promised}", header.format));
    }
    let found = (i64::from(header.width), i64::from(header.height));
    let (width, height) = size.filter(|&(w, h)| (i64::from(w), i64::from(h)) != found)?;
    Some(format!("the image has {}×{} pixels, the table says {width}×{height}", found.0, found.1))
}
