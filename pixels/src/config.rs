//! What to do with an image, resolved: names, meanings and defaults are img2dataset's, so that its users can switch
//! without a manual. Everything that img2dataset has no name for is below the marked line in [`TransformConfig`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is no value of an option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {option}; write one of {allowed}")]
pub struct UnknownWord {
    /// What the user wrote.
    pub word: String,
    /// The option it was meant for.
    pub option: &'static str,
    /// The words it takes.
    pub allowed: &'static str,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $option:literal, $allowed:literal, $($(#[$vdoc:meta])* $variant:ident = $word:literal $(| $alias:literal)*),* $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word $(, alias = $alias)*)] $variant,)*
        }

        impl $name {
            /// The word in configs and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word $(| $alias)* => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { word: word.to_owned(), option: $option, allowed: $allowed }),
                }
            }
        }
    };
}

words! {
    /// How an image is brought to `image_size`.
    ResizeMode, "resize mode", "no, border, keep_ratio, keep_ratio_largest, center_crop",
    /// Keep the original size.
    No = "no",
    /// Longest side to `image_size`, then a white border, centred, to a square. An odd pixel of border goes to the
    /// right and the bottom.
    Border = "border",
    /// Shortest side to `image_size`.
    KeepRatio = "keep_ratio",
    /// Longest side to `image_size`.
    KeepRatioLargest = "keep_ratio_largest",
    /// Shortest side to `image_size`, then the centre square.
    CenterCrop = "center_crop",
}

words! {
    /// Resampling filter. `Area` is the exact pixel-area average, with fractional coverage at the edges of each
    /// window; enlarging with it is bilinear, as OpenCV does. The other filters widen their support when they shrink
    /// (they antialias), which OpenCV's do not.
    Interpolation, "interpolation", "nearest, linear, cubic, area, lanczos",
    /// The nearest pixel.
    Nearest = "nearest",
    /// Triangle.
    Linear = "linear" | "bilinear",
    /// Catmull-Rom cubic.
    Cubic = "cubic" | "bicubic",
    /// Exact pixel-area average.
    Area = "area",
    /// Lanczos with three lobes (OpenCV: four).
    Lanczos = "lanczos" | "lanczos4",
}

words! {
    /// The format of the finished image.
    EncodeFormat, "encode format", "jpg, png, webp",
    /// Baseline JPEG; quality 0–100.
    Jpg = "jpg" | "jpeg",
    /// PNG; `encode_quality` is the compression level 0–9.
    Png = "png",
    /// WebP; quality 0–100, lossless above 100.
    Webp = "webp",
}

words! {
    /// Chroma subsampling of finished JPEGs.
    ChromaChoice, "chroma choice", "420, keep, 444",
    /// 4:2:0, what OpenCV and therefore img2dataset write.
    Subsampled420 = "420",
    /// The source's own subsampling where it is a JPEG with a known one, 4:2:0 otherwise.
    Keep = "keep",
    /// 4:4:4, no subsampling.
    Full444 = "444",
}

words! {
    /// How a large JPEG may be spared decoding in full. Unless this is `off`, a baseline JPEG that area-averaging shrinks
    /// by 8/3 or more, and that stays a JPEG, goes from its coefficients straight to the averages: cheapest, and exact.
    /// Others may be shrunk (by 2, 4 or 8) inside the decoder before the resize proper: the further, the cheaper, but
    /// detail of the size of a target pixel suffers where the resize has little left to do.
    DctScaling, "DCT scaling", "off, fine, coarse",
    /// Always decode at full size.
    Off = "off",
    /// Keep at least 7/4 of the target's samples on each side: as good as full size within 0.05 dB of mean PSNR.
    Fine = "fine",
    /// Keep at least 5/4: cheaper on some sizes, up to 0.4 dB worse there.
    Coarse = "coarse",
}

words! {
    /// What to do with a JPEG whose data ends early or is damaged (other formats always fail).
    TruncatedPolicy, "truncated policy", "fail, keep",
    /// A typed failure.
    Fail = "fail",
    /// Keep what was decoded; the missing part is grey.
    Keep = "keep",
}

/// Bounds on what a header may promise, checked before any pixel is decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Limits {
    /// Most pixels of one frame (width × height).
    pub max_pixels: u64,
    /// Longest side, in pixels.
    pub max_side: u32,
    /// Most frames of an animation or pages of a TIFF, although only the first is decoded.
    pub max_frames: u32,
    /// Most scans of a progressive JPEG; each costs a pass over the whole image.
    pub max_scans: u32,
    /// Most samples of all scans of a JPEG together, each as often as a scan comes by: what a progressive picture costs.
    /// The default is what 100 million pixels take in the ten scans that are usual.
    #[serde(skip_serializing_if = "is_usual_scan_samples")]
    pub max_scan_samples: u64,
    /// Most bytes a decoder may hold for one image, coefficients of a progressive JPEG included.
    pub max_decode_bytes: u64,
}

const USUAL_SCAN_SAMPLES: u64 = 1_500_000_000;

/// The field is newer than configurations that are hashed.
fn is_usual_scan_samples(value: &u64) -> bool {
    *value == USUAL_SCAN_SAMPLES
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 100_000_000,
            max_side: 65_500,
            max_frames: 4_096,
            max_scans: 100,
            max_scan_samples: USUAL_SCAN_SAMPLES,
            max_decode_bytes: 512 << 20,
        }
    }
}

/// Everything [`crate::Transformer`] needs to know. `Default` is img2dataset's set of defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct TransformConfig {
    /// Target side in pixels; which side is `resize_mode`'s matter. 1–65,500.
    pub image_size: u32,
    /// How to reach the target side.
    pub resize_mode: ResizeMode,
    /// Leave images alone whose deciding side is not above `image_size`: no enlarging, no crop, no border.
    pub resize_only_if_bigger: bool,
    /// Filter when the deciding side is at or below `image_size`.
    pub upscale: Interpolation,
    /// Filter when the deciding side is above `image_size`.
    pub downscale: Interpolation,
    /// Format of the finished image.
    pub encode_format: EncodeFormat,
    /// jpg 0–100, png 0–9 (compression), webp 0–100 and lossless above.
    pub encode_quality: u32,
    /// Pass the bytes through where nothing changed the pixels and the source is of `encode_format` already. They are
    /// decoded all the same, so that a damaged image still fails.
    pub skip_reencode: bool,
    /// Pass all bytes through undecoded; sizes stay unknown. Only bytes that are no image at all are refused.
    pub disable_all_reencoding: bool,
    /// Smallest shorter side of the original, in pixels.
    pub min_image_size: u32,
    /// Largest area of the original, in pixels; infinite by default (and then left out when written down).
    #[serde(skip_serializing_if = "is_unbounded")]
    pub max_image_area: f64,
    /// Largest longer-to-shorter side ratio of the original; infinite by default (and then left out).
    #[serde(skip_serializing_if = "is_unbounded")]
    pub max_aspect_ratio: f64,
    /// Collect the EXIF tags as a JSON string.
    pub extract_exif: bool,

    // Below: no counterpart in img2dataset.
    /// Turn the pixels upright by the EXIF orientation. Off by default, as OpenCV's `IMREAD_UNCHANGED` leaves them.
    pub apply_orientation: bool,
    /// Chroma subsampling of finished JPEGs.
    pub chroma: ChromaChoice,
    /// Shrinking of large JPEGs while decoding.
    pub dct_scaling: DctScaling,
    /// Damaged JPEGs: fail or keep.
    pub truncated: TruncatedPolicy,
    /// Bounds on hostile headers.
    pub limits: Limits,
}

fn is_unbounded(value: &f64) -> bool {
    !value.is_finite()
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self {
            image_size: 256,
            resize_mode: ResizeMode::Border,
            resize_only_if_bigger: false,
            upscale: Interpolation::Lanczos,
            downscale: Interpolation::Area,
            encode_format: EncodeFormat::Jpg,
            encode_quality: 95,
            skip_reencode: false,
            disable_all_reencoding: false,
            min_image_size: 0,
            max_image_area: f64::INFINITY,
            max_aspect_ratio: f64::INFINITY,
            extract_exif: true,
            apply_orientation: false,
            chroma: ChromaChoice::Subsampled420,
            dct_scaling: DctScaling::Fine,
            truncated: TruncatedPolicy::Fail,
            limits: Limits::default(),
        }
    }
}

/// A configuration that cannot work. The message names the option and its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// `image_size` is outside 1–65,500.
    #[error("image-size is {0}; it must be between 1 and 65500")]
    ImageSize(u32),
    /// `encode_quality` is outside the format's range.
    #[error("encode-quality is {quality}; for {format} it must be {range}")]
    Quality {
        /// The configured quality.
        quality: u32,
        /// The configured format.
        format: EncodeFormat,
        /// The format's range, in words.
        range: &'static str,
    },
    /// `max_image_area` or `max_aspect_ratio` is not a number, or would refuse every image.
    #[error("{option} is {value}; it must be a number of at least {min}")]
    Bound {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The least useful value.
        min: f64,
    },
    /// A limit of zero refuses every image.
    #[error("limits.{0} is 0, which refuses every image; give it a positive number")]
    ZeroLimit(&'static str),
    /// The side of a training picture is outside 1–4,096.
    #[error("the side of training pictures is {0}; it must be between 1 and 4096")]
    Side(u32),
    /// The codec library gave no handle.
    #[error("cannot start the JPEG codec: {0}")]
    Codec(String),
}

impl TransformConfig {
    /// Checks every option against its range.
    ///
    /// # Errors
    /// The first option that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=65_500).contains(&self.image_size) {
            return Err(ConfigError::ImageSize(self.image_size));
        }
        let (allowed, range) = match self.encode_format {
            EncodeFormat::Jpg => (0..=100, "a quality from 0 to 100"),
            EncodeFormat::Png => (0..=9, "a compression level from 0 to 9"),
            EncodeFormat::Webp => (0..=u32::MAX, "a quality from 0 to 100, or above 100 for lossless"),
        };
        if !allowed.contains(&self.encode_quality) {
            let (quality, format) = (self.encode_quality, self.encode_format);
            return Err(ConfigError::Quality { quality, format, range });
        }
        for (option, value) in
            [("max-image-area", self.max_image_area), ("max-aspect-ratio", self.max_aspect_ratio)]
        {
            if value.is_nan() || value < 1.0 {
                return Err(ConfigError::Bound { option, value, min: 1.0 });
            }
        }
        let limits = &self.limits;
        for (name, value) in [
            ("max_pixels", limits.max_pixels),
            ("max_side", u64::from(limits.max_side)),
            ("max_frames", u64::from(limits.max_frames)),
            ("max_scans", u64::from(limits.max_scans)),
            ("max_scan_samples", limits.max_scan_samples),
            ("max_decode_bytes", limits.max_decode_bytes),
        ] {
            if value == 0 {
                return Err(ConfigError::ZeroLimit(name));
            }
        }
        Ok(())
    }
}
