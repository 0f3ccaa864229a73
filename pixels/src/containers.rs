//! What a container holds besides its picture, or promises about the parts of it, held against the limits before a
//! decoder that trusts it is called: profiles and texts of a PNG, the inner picture of a WebP. TIFF has a reader of its
//! own, which trusts nothing.

mod png;
mod webp;

use std::borrow::Cow;

use crate::error::PixelError;
use crate::format::Format;
use crate::header::Header;

/// The bytes to decode: those given, or a copy without what is not part of the picture.
///
/// # Errors
/// [`PixelError::Bomb`], [`PixelError::Truncated`] or [`PixelError::Corrupt`] where a part breaks a limit or is damaged.
pub(crate) fn checked<'a>(bytes: &'a [u8], header: &Header) -> Result<Cow<'a, [u8]>, PixelError> {
    match header.format {
        Format::Png => return Ok(png::without_extras(bytes)),
        Format::Webp => webp::check(bytes, header)?,
        _ => {}
    }
    Ok(Cow::Borrowed(bytes))
}
