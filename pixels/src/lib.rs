//! Bytes of any image to a resized, re-encoded image: the part of Pairmill that ingest and training share. It knows no
//! other crate of the workspace but `guard`, the wall around decoders that may panic.
//!
//! In flow order: [`sniff`] names the format by content, [`probe`] reads the header only, [`Limits`] refuse what it
//! should not promise, the size gates refuse what the user does not want, and [`Transformer`] decodes, resizes and
//! encodes. [`Cropper`] is the other way out: a square of RGB
//! pixels for training, nothing encoded, on which [`Op`] plays and which [`Normalisation`] turns into floats. [`perceptual_hash`] tells near-duplicates. Sizes, rounding, borders and matting are img2dataset's; see [`TransformConfig`] for what is ours.
//!
//! ```
//! use pairmill_pixels::{PixelError, ResizeMode, TransformConfig, Transformer};
//!
//! let config = TransformConfig { resize_mode: ResizeMode::KeepRatio, ..TransformConfig::default() };
//! let mut transformer = Transformer::new(&config)?;
//! assert_eq!(transformer.transform(b"<html>not found</html>"), Err(PixelError::NotAnImage));
//! # Ok::<(), pairmill_pixels::ConfigError>(())
//! ```
//!
#![doc = include_str!("../README.md")]

mod area;
mod augment;
#[cfg(feature = "avif")]
mod avif;
mod bmp;
mod config;
mod containers;
mod crop;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod geometry;
mod gif;
mod header;
pub mod hostile;
mod jpeg;
mod normalise;
mod perceptual;
mod raster;
mod resize;
mod sheet;
mod smooth;
mod tiff;
mod transform;

pub use augment::{Op, Scratch};
pub use config::{
    ChromaChoice, ConfigError, DctScaling, EncodeFormat, Interpolation, Limits, ResizeMode, TransformConfig,
    TruncatedPolicy, UnknownWord,
};
pub use crop::{CropBox, CropConfig, Cropper, DEFAULT_SIDE, Placement, View};
pub use decode::{decode_rgb, decode_rgb_at_least};
pub use error::PixelError;
pub use exif::ExifFault;
pub use format::{Format, sniff};
pub use header::{Header, probe};
pub use normalise::{Normalisation, NormaliseTable, Statistics};
pub use perceptual::perceptual_hash;
pub use raster::{Rgb8, Rgb8Mut};
pub use resize::resize_rgb;
pub use sheet::{SheetConfig, sheet, thumbnail};
pub use transform::{Applied, Transformed, Transformer};
