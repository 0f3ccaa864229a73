//! Why an image came to nothing. Each variant is one typed row failure of the pipeline; none of them ever stops a run.
//! A panic in a codec becomes one too: every public function of this crate that calls one runs it inside of [`walled`].

/// Runs a step that calls codecs. What it worked on must be made anew after [`PixelError::Panicked`].
pub(crate) fn walled<T>(step: impl FnOnce() -> Result<T, PixelError>) -> Result<T, PixelError> {
    pairmill_guard::caught(step).unwrap_or_else(|panic| Err(PixelError::Panicked(panic.place)))
}

/// A failure of one image. The caller maps it to its row status; the message names the numbers that decided.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PixelError {
    /// The first bytes belong to no image format (an HTML page with status 200, an empty body …).
    #[error("the bytes are no image")]
    NotAnImage,
    /// An image, but of a format or coding process that is not decoded. Holds its name.
    #[error("{0} images are not decoded")]
    Unsupported(String),
    /// The data ends before the image is complete.
    #[error("the image data ends early")]
    Truncated,
    /// The bytes contradict their format. Holds the decoder's words.
    #[error("corrupt image: {0}")]
    Corrupt(String),
    /// A decoder or encoder that is not ours panicked on the bytes; holds where (crate, file, line). To a pipeline this
    /// is a corrupt image.
    #[error("the image made a decoder panic at {0}, which is a defect of the decoder")]
    Panicked(String),
    /// The header promises more than [`crate::Limits`] allow; nothing was decoded (scans are counted on the way).
    #[error("the header promises {value} {what}, the limit is {max}")]
    Bomb {
        /// What was counted: `pixels`, `pixels on a side`, `pixels after resizing`, `frames`, `scans`,
        /// `samples in all scans` or `bytes of memory`.
        what: &'static str,
        /// The promised number.
        value: u64,
        /// The limit it broke.
        max: u64,
    },
    /// The shorter side is below `min_image_size`.
    #[error("image too small: {width}x{height}, the shorter side must be at least {min}")]
    TooSmall {
        /// Original width in pixels.
        width: u32,
        /// Original height in pixels.
        height: u32,
        /// The configured minimum.
        min: u32,
    },
    /// The area is above `max_image_area`.
    #[error("image area too large: {width}x{height}, the limit is {max} pixels")]
    TooBig {
        /// Original width in pixels.
        width: u32,
        /// Original height in pixels.
        height: u32,
        /// The configured maximum, in pixels.
        max: f64,
    },
    /// Longer side over shorter side is above `max_aspect_ratio`.
    #[error("aspect ratio too large: {width}x{height}, the limit is {max}")]
    Aspect {
        /// Original width in pixels.
        width: u32,
        /// Original height in pixels.
        height: u32,
        /// The configured maximum.
        max: f64,
    },
    /// The finished pixels could not be encoded (too long a side for the format, say).
    #[error("cannot encode the image: {0}")]
    Encode(String),
}
