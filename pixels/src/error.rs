//! Why an image came to nothing. Each variant is one typed row failure of the pipeline; none of them ever stops a run.
//! A panic in a codec becomes one too: every public function of this crate that calls one runs it inside of [`walled`].

/// Runs a step that calls codecs. What it worked on must be made anew after [`PixelError::Panicked`].
pub(crate) fn walled<T>(step: impl FnOnce() -> Result<T, PixelError>) -> Result<T, PixelError> {
    let result = pairmill_guard::caught(|| {
        trap::spring();
        step()
    });
    result.unwrap_or_else(|panic| Err(PixelError::Panicked(panic.place)))
}

#[cfg(not(test))]
pub(crate) mod trap {
    /// Nothing outside of tests.
    pub fn spring() {}
}

/// A panic on demand: no file is known that makes a codec of today panic, and the wall is for those of tomorrow.
#[cfg(test)]
pub(crate) mod trap {
    use std::cell::Cell;

    thread_local! {
        static IS_SET: Cell<bool> = const { Cell::new(false) };
    }

    /// The next codec call of this thread panics.
    pub fn set() {
        IS_SET.set(true);
    }

    pub fn spring() {
        if IS_SET.replace(false) {
            panic!("the trap");
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CropConfig, Cropper, ExifFault, Interpolation, Limits, Placement, Rgb8, TransformConfig, Transformer,
        View, decode_rgb, perceptual_hash, probe, resize_rgb, thumbnail,
    };

    const IMAGE: &[u8] = include_bytes!("../tests/reference/restart.jpg");

    /// Runs a step over a trap, and again without: it must fail by the trap's place, then succeed.
    fn survives<T: PartialEq + std::fmt::Debug>(mut step: impl FnMut() -> Result<T, PixelError>) {
        let before = step().unwrap();
        for _ in 0..2 {
            trap::set();
            let result = step();
            let place = file!();
            assert!(matches!(&result, Err(PixelError::Panicked(at)) if at.starts_with(place)), "{result:?}");
            assert_eq!(step().unwrap(), before);
        }
    }

    #[test]
    fn f01_a_panic_in_a_codec_costs_its_image_only() {
        let limits = Limits::default();
        let mut transformer = Transformer::new(&TransformConfig::default()).unwrap();
        survives(|| transformer.transform(IMAGE));
        let mut cropper = Cropper::new(&CropConfig { side: 32, ..CropConfig::default() }).unwrap();
        let placement = Placement { view: View::Centre, mirrored: false };
        survives(|| cropper.decode_rgb(IMAGE));
        let picture = cropper.decode_rgb(IMAGE).unwrap();
        survives(|| {
            let mut out = vec![0; cropper.out_bytes()];
            cropper.write(IMAGE, |_, _| placement, &mut out).map(|()| out)
        });
        survives(|| {
            let mut out = vec![0; cropper.out_bytes()];
            let Rgb8 { width, height, data } = &picture;
            cropper.write_rgb(data, *width, *height, placement, &mut out).map(|()| out)
        });
        survives(|| probe(IMAGE));
        survives(|| decode_rgb(IMAGE, &limits));
        survives(|| perceptual_hash(IMAGE, &limits));
        survives(|| thumbnail(IMAGE, &limits, 20));
        survives(|| resize_rgb(&picture, 20, 20, Interpolation::Lanczos));
    }

    #[test]
    fn f01_a_panic_in_the_exif_library_costs_the_tags_only() {
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        trap::set();
        let result = crate::exif::to_json(Some(exif));
        assert!(matches!(&result, Err(ExifFault::Panicked(at)) if at.starts_with(file!())), "{result:?}");
        assert!(crate::exif::to_json(Some(exif)).is_ok_and(|json| json.is_some()));
    }
}
