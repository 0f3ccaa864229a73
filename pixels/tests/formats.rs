//! Every kind of source a crawl meets comes out as an upright 8-bit picture, and says what was done to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba};
use pairmill_pixels::{
    ChromaChoice, ConfigError, EncodeFormat, ExifFault, Limits, PixelError, ResizeMode, TransformConfig,
    Transformed, Transformer, TruncatedPolicy, decode_rgb, decode_rgb_at_least, probe,
};
use support::{encode_png, formula, jpeg, scene, with_orientation};
use turbojpeg::{Compressor, Subsamp};

fn keep_size() -> TransformConfig {
    TransformConfig { resize_mode: ResizeMode::No, ..TransformConfig::default() }
}

fn run(config: &TransformConfig, bytes: &[u8]) -> Result<Transformed, PixelError> {
    Transformer::new(config).unwrap().transform(bytes)
}

fn pixel(done: &Transformed, x: usize, y: usize) -> [i32; 3] {
    let image = decode_rgb(&done.image, &Limits::default()).unwrap();
    let at = (y * image.width as usize + x) * 3;
    [0, 1, 2].map(|c| i32::from(image.data[at + c]))
}

fn near(found: [i32; 3], wanted: [i32; 3], tolerance: i32) {
    let close = found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(close, "{found:?} is not {wanted:?} ± {tolerance}");
}

fn save(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

#[test]
fn every_decoded_format_gives_its_colour() {
    let flat = DynamicImage::ImageRgb8(ImageBuffer::from_pixel(40, 30, Rgb([200, 40, 90])));
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ] {
        let source =
            if format == ImageFormat::Gif { DynamicImage::ImageRgba8(flat.to_rgba8()) } else { flat.clone() };
        let bytes = save(&source, format);
        let header = probe(&bytes).unwrap();
        assert_eq!((header.width, header.height, header.frames), (40, 30, 1), "{format:?}");
        for target in [EncodeFormat::Jpg, EncodeFormat::Png, EncodeFormat::Webp] {
            let quality = if target == EncodeFormat::Png { 6 } else { 95 };
            let config = TransformConfig {
                encode_format: target,
                encode_quality: quality,
                image_size: 20,
                resize_mode: ResizeMode::KeepRatio,
                ..TransformConfig::default()
            };
            let done = run(&config, &bytes).unwrap();
            assert_eq!((done.width, done.height), (Some(27), Some(20)));
            near(pixel(&done, 13, 10), [200, 40, 90], 4);
        }
    }
}

#[test]
fn sixteen_bits_are_scaled_and_alpha_is_matted() {
    let deep = DynamicImage::ImageRgb16(ImageBuffer::from_pixel(16, 16, Rgb([51_400, 257 * 10, 65_535])));
    let done = run(&keep_size(), &save(&deep, ImageFormat::Png)).unwrap();
    assert!(done.applied.sixteen_bit);
    near(pixel(&done, 8, 8), [200, 10, 255], 3);

    let grey = DynamicImage::ImageLuma16(ImageBuffer::from_pixel(16, 16, Luma([32_896])));
    let done = run(&keep_size(), &save(&grey, ImageFormat::Png)).unwrap();
    assert_eq!(probe(&done.image).unwrap().channels, 1, "grey stays grey");
    near(pixel(&done, 8, 8), [128; 3], 2);

    let half = DynamicImage::ImageRgba16(ImageBuffer::from_pixel(16, 16, Rgba([0, 0, 65_535, 32_768])));
    let done = run(&keep_size(), &save(&half, ImageFormat::Png)).unwrap();
    assert!(done.applied.alpha && done.applied.sixteen_bit);
    near(pixel(&done, 8, 8), [127, 127, 255], 3);
}

#[test]
fn jpegs_of_every_kind_are_taken() {
    let (width, height) = (90, 70);
    let pixels = scene(width, height, 3);
    type Tune = fn(&mut Compressor);
    let plain: Tune = |_| {};
    let progressive: Tune = |codec| codec.set_progressive(true).unwrap();
    let arithmetic: Tune = |codec| codec.set_arithmetic(true).unwrap();
    let as_rgb: Tune = |codec| codec.set_colorspace(turbojpeg::Colorspace::RGB).unwrap();
    let cases: [(&str, Subsamp, Tune, bool); 9] = [
        ("4:4:4", Subsamp::None, plain, true),
        ("4:2:0", Subsamp::Sub2x2, plain, true),
        ("4:2:2", Subsamp::Sub2x1, plain, true),
        ("4:4:0", Subsamp::Sub1x2, plain, true),
        ("4:1:1", Subsamp::Sub4x1, plain, true),
        ("4:4:1", Subsamp::Sub1x4, plain, true),
        ("progressive", Subsamp::Sub2x2, progressive, true),
        ("arithmetic", Subsamp::Sub2x2, arithmetic, true),
        ("RGB colour space", Subsamp::None, as_rgb, false),
    ];
    for (name, subsamp, tune, planes) in cases {
        let bytes = jpeg(&pixels, width, height, 3, subsamp, tune);
        for chroma in [ChromaChoice::Subsampled420, ChromaChoice::Keep, ChromaChoice::Full444] {
            let config = TransformConfig {
                image_size: 41,
                resize_mode: ResizeMode::KeepRatio,
                chroma,
                ..TransformConfig::default()
            };
            let done = run(&config, &bytes).unwrap();
            assert_eq!(done.applied.planes, planes, "{name}");
            assert_eq!((done.width, done.height), (Some(53), Some(41)), "{name}");
            let written = turbojpeg::read_header(&done.image).unwrap().subsamp;
            let expected = match chroma {
                ChromaChoice::Subsampled420 => Subsamp::Sub2x2,
                ChromaChoice::Keep => subsamp,
                ChromaChoice::Full444 => Subsamp::None,
            };
            assert_eq!(written, expected, "{name} {chroma}");
            let (found, wanted) = (
                decode_rgb(&done.image, &config.limits).unwrap(),
                decode_rgb(&bytes, &config.limits).unwrap(),
            );
            let mean = |data: &[u8], c: usize| {
                data.iter().skip(c).step_by(3).map(|v| f64::from(*v)).sum::<f64>() / (data.len() / 3) as f64
            };
            for channel in 0..3 {
                let (a, b) = (mean(&found.data, channel), mean(&wanted.data, channel));
                assert!(
                    (a - b).abs() < 1.5,
                    "{name} {chroma}: channel {channel} averages {a:.1}, not {b:.1}"
                );
            }
        }
    }
    let grey = jpeg(&formula(width, height, 1), width, height, 1, Subsamp::Gray, plain);
    let done = run(&TransformConfig { image_size: 41, ..TransformConfig::default() }, &grey).unwrap();
    assert_eq!(probe(&done.image).unwrap().channels, 1, "grey stays grey");
    // Inverted inks: no cyan, full magenta (0), no yellow, no black.
    let inks = [255, 0, 255, 255].repeat(32 * 32);
    let cmyk = jpeg(&inks, 32, 32, 4, Subsamp::None, plain);
    let done = run(&keep_size(), &cmyk).unwrap();
    assert!(done.applied.cmyk);
    near(pixel(&done, 16, 16), [255, 0, 255], 6);
}

#[test]
fn orientation_is_left_alone_unless_asked_for() {
    let (width, height) = (60, 40);
    let stored = jpeg(&formula(width, height, 3), width, height, 3, Subsamp::None, |_| {});
    let turned = with_orientation(&stored, 6);
    let done = run(&keep_size(), &turned).unwrap();
    assert_eq!((done.width, done.original_width), (Some(60), Some(60)));
    assert_eq!(done.exif.as_deref(), Some(r#"{"Image Orientation": "Rotated 90 CW"}"#));
    assert_eq!(done.applied.orientation, 0);

    let upright = TransformConfig {
        apply_orientation: true,
        image_size: 20,
        resize_mode: ResizeMode::KeepRatio,
        ..keep_size()
    };
    let done = run(&upright, &turned).unwrap();
    assert_eq!((done.width, done.height), (Some(20), Some(30)));
    assert_eq!((done.original_width, done.original_height), (Some(40), Some(60)));
    assert_eq!(done.applied.orientation, 6);
    // Stored: red grows to the right, green downwards. Upright (a clockwise turn): red grows downwards, green leftwards.
    let (top_right, bottom_right) = (pixel(&done, 19, 0), pixel(&done, 19, 29));
    near(top_right, [5, 5, 2], 14);
    near(bottom_right, [195, 5, 120], 14);
}

#[test]
fn a_cut_jpeg_fails_or_is_kept_by_policy_and_a_lost_end_marker_is_forgiven() {
    for progressive in [false, true] {
        let whole = jpeg(&scene(200, 160, 5), 200, 160, 3, Subsamp::Sub2x2, |c| {
            c.set_progressive(progressive).unwrap()
        });
        let unended = &whole[..whole.len() - 2];
        assert!(run(&keep_size(), unended).is_ok(), "only the end marker is missing");
        let cut = &whole[..whole.len() * 2 / 3];
        assert_eq!(run(&keep_size(), cut), Err(PixelError::Truncated));
        let keep = TransformConfig { truncated: TruncatedPolicy::Keep, ..keep_size() };
        assert_eq!(run(&keep, cut).unwrap().width, Some(200));
        let skip = TransformConfig { skip_reencode: true, ..keep_size() };
        assert_eq!(run(&skip, cut), Err(PixelError::Truncated), "bytes are not passed on unread");
        assert_eq!(run(&skip, &whole).unwrap().image, whole);
        let mut noisy = whole.clone();
        noisy.splice(whole.len() - 2..whole.len() - 2, [0x12, 0x34]);
        assert!(run(&keep_size(), &noisy).is_ok(), "stray bytes before a marker are harmless");
    }
}

#[test]
fn disabled_reencoding_passes_images_through_and_nothing_else() {
    let config = TransformConfig { disable_all_reencoding: true, ..TransformConfig::default() };
    let bytes = with_orientation(&jpeg(&formula(8, 8, 3), 8, 8, 3, Subsamp::None, |_| {}), 3);
    let done = run(&config, &bytes).unwrap();
    assert_eq!((&done.image, done.width, done.original_height), (&bytes, None, None));
    assert_eq!(done.exif.as_deref(), Some(r#"{"Image Orientation": "Rotated 180"}"#));
    assert!(run(&config, b"\0\0\0\x1Cftypavif\0\0\0\0mif1miafMA1B").is_ok(), "also what is not decoded");
    assert_eq!(run(&config, b"<html></html>"), Err(PixelError::NotAnImage));
}

#[test]
fn large_sources_are_decoded_small_but_never_below_what_is_asked() {
    let bytes = jpeg(&scene(1001, 803, 2), 1001, 803, 3, Subsamp::Sub2x2, |_| {});
    let limits = Limits::default();
    for (min_width, min_height, expected) in
        [(100, 100, (126, 101)), (126, 100, (251, 201)), (500, 401, (501, 402)), (501, 1, (1001, 803))]
    {
        let image = decode_rgb_at_least(&bytes, &limits, min_width, min_height).unwrap();
        assert_eq!((image.width, image.height), expected, "at least {min_width}x{min_height}");
    }
}

#[test]
fn too_long_a_side_for_the_format_is_a_failure_to_encode() {
    let long = encode_png(&vec![9; 17_000 * 2], 17_000, 2, 1);
    let webp = TransformConfig { encode_format: EncodeFormat::Webp, ..keep_size() };
    assert!(matches!(run(&webp, &long), Err(PixelError::Encode(_))));
    assert!(run(&keep_size(), &long).is_ok());
}

#[test]
fn configurations_out_of_range_name_the_option() {
    let with = |encode_format, encode_quality| TransformConfig {
        encode_format,
        encode_quality,
        ..TransformConfig::default()
    };
    assert!(matches!(with(EncodeFormat::Png, 95).validate(), Err(ConfigError::Quality { quality: 95, .. })));
    assert!(matches!(with(EncodeFormat::Jpg, 101).validate(), Err(ConfigError::Quality { .. })));
    assert!(with(EncodeFormat::Webp, 101).validate().is_ok());
    assert_eq!(
        TransformConfig { image_size: 0, ..TransformConfig::default() }.validate(),
        Err(ConfigError::ImageSize(0))
    );
    let message = TransformConfig { max_aspect_ratio: 0.5, ..TransformConfig::default() }
        .validate()
        .unwrap_err()
        .to_string();
    assert!(message.contains("max-aspect-ratio"), "{message}");
}

#[test]
fn the_configuration_survives_being_written_down() {
    let config = TransformConfig {
        resize_mode: ResizeMode::KeepRatioLargest,
        max_image_area: 1e6,
        ..TransformConfig::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert!(text.contains(r#""resize_mode":"keep_ratio_largest""#), "{text}");
    assert!(!text.contains("max_aspect_ratio"), "an infinite bound is left out: {text}");
    assert_eq!(serde_json::from_str::<TransformConfig>(&text).unwrap(), config);
}

#[test]
fn f02_exif_beyond_the_limits_is_dropped_and_the_image_stays() {
    let plain = jpeg(&scene(90, 70, 1), 90, 70, 3, Subsamp::Sub2x2, |_| {});
    // 4,000 tags of eight bytes are no camera's.
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0".to_vec();
    exif.extend(4_200_u16.to_le_bytes());
    for tag in 0..4_200_u16 {
        exif.extend(tag.to_le_bytes());
        exif.extend(b"\x03\0\x01\0\0\0\x01\0\0\0");
    }
    exif.extend([0; 4]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let bytes = [&plain[..2], &[0xFF, 0xE1], &length, &exif, &plain[2..]].concat();
    let mut transformer = Transformer::new(&TransformConfig::default()).unwrap();
    let done = transformer.transform(&bytes).unwrap();
    assert_eq!((done.exif, done.exif_fault), (None, Some(ExifFault::TooLarge)));
    assert_eq!(done.image, transformer.transform(&plain).unwrap().image);
    let silent = TransformConfig { extract_exif: false, ..TransformConfig::default() };
    assert_eq!(Transformer::new(&silent).unwrap().transform(&bytes).unwrap().exif_fault, None);
}
