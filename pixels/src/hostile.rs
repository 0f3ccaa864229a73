//! The bodies of the fuzz targets (`fuzz/`), public so that the stable test suite runs it on mutated files as well.

use crate::config::{EncodeFormat, Limits, ResizeMode, TransformConfig};
use crate::exif::{self, ExifFault};
use crate::header::probe;
use crate::transform::Transformer;

/// Runs bytes through [`probe`] and [`Transformer::transform`] under small limits and four configurations. Errors are
/// fine; a finished image must have the size it claims.
///
/// # Errors
/// A sentence about the broken promise.
pub fn exercise(bytes: &[u8]) -> Result<(), String> {
    let header = probe(bytes).ok();
    let limits = Limits {
        max_pixels: 1 << 20,
        max_frames: 64,
        max_scans: 20,
        max_decode_bytes: 16 << 20,
        ..Limits::default()
    };
    let base = TransformConfig { image_size: 33, limits, ..TransformConfig::default() };
    let variants = [
        TransformConfig { resize_mode: ResizeMode::KeepRatio, apply_orientation: true, ..base.clone() },
        TransformConfig {
            resize_mode: ResizeMode::CenterCrop,
            truncated: crate::TruncatedPolicy::Keep,
            ..base.clone()
        },
        TransformConfig { resize_mode: ResizeMode::No, skip_reencode: true, ..base.clone() },
        TransformConfig { encode_format: EncodeFormat::Png, encode_quality: 1, ..base },
    ];
    for config in variants {
        let mut transformer = Transformer::new(&config).map_err(|error| error.to_string())?;
        let Ok(done) = transformer.transform(bytes) else { continue };
        if header.is_none() {
            return Err("an image without a readable header was transformed".to_owned());
        }
        let made = probe(&done.image).map_err(|error| format!("the output has no header: {error}"))?;
        if (Some(made.width), Some(made.height)) != (done.width, done.height) {
            return Err(format!(
                "claimed {:?}x{:?}, made {}x{}",
                done.width, done.height, made.width, made.height
            ));
        }
    }
    Ok(())
}

/// Longest JSON of EXIF tags, in bytes.
const MAX_EXIF_JSON: usize = 64 << 10;

/// Reads bytes as the TIFF structure of EXIF tags: bounded JSON whose values are all text, nothing, or a refusal.
///
/// # Errors
/// A sentence about the broken promise.
pub fn exercise_exif(bytes: &[u8]) -> Result<(), String> {
    let orientation = exif::orientation(Some(bytes));
    if !(1..=8).contains(&orientation) {
        return Err(format!("orientation {orientation}"));
    }
    let json = match exif::to_json(Some(bytes)) {
        Ok(Some(json)) => json,
        Ok(None) | Err(ExifFault::TooLarge) => return Ok(()),
        Err(ExifFault::Panicked(place)) => return Err(format!("a panic at {place}")),
    };
    if json.len() > MAX_EXIF_JSON || !json.is_ascii() {
        return Err(format!("{} bytes of JSON, ASCII: {}", json.len(), json.is_ascii()));
    }
    let tags: serde_json::Value = serde_json::from_str(&json).map_err(|error| format!("no JSON: {error}"))?;
    match tags.as_object() {
        Some(tags) if tags.values().all(serde_json::Value::is_string) => Ok(()),
        _ => Err("not an object of texts".to_owned()),
    }
}
