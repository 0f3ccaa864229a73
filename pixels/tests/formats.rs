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
use std::path::PathBuf;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba};
use pairmill_pixels::{
    ChromaChoice, ConfigError, EncodeFormat, ExifFault, Limits, PixelError, ResizeMode, TransformConfig,
    Transformed, Transformer, TruncatedPolicy, decode_rgb, decode_rgb_at_least, probe,
};
use sha2::{Digest, Sha256};
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

/// A picture of the faults' folder beside the checkout, where there is one.
fn fault(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faults").join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: {} is not there", path.display());
    }
    bytes
}

#[test]
fn f23_odd_files_decode_to_the_pixels_that_pillow_and_opencv_have() {
    // SHA-256 of the RGB pixels by Pillow 13.0.0 and OpenCV 5.0.0, which agree.
    for (name, width, height, digest) in [
        ("palette.tif", 96, 64, "7f8212a29b30a553db3780de31db226b4d940f1de040aabba1b238e8e3273d6a"),
        ("fill-order-2.tif", 16, 16, "8338d9612ba32c7aa056fdfe96f6e00d88f55abecb819627a8477d8c0c05f7f1"),
        (
            "apng-false-frame-count.png",
            96,
            64,
            "c9f452cbcee82238e84fbd0cd1b04270c3b1ab2a523ca25f7593d44a7cb9e305",
        ),
        ("app-length-0.jpg", 96, 64, "fbb0167ffec3510ccb76218d1ee8edb9fed5742413a1818ed9f61990adca8132"),
        ("planar-tiled.tif", 24, 24, "3a97d91890f32d20999930d8420b1758a94c760394653f070c7c40e1b75a5700"),
    ] {
        let Some(bytes) = fault(name) else { continue };
        let image = decode_rgb(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((image.width, image.height), (width, height), "{name}");
        let found: String = Sha256::digest(&image.data).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{name}");
        assert!(run(&keep_size(), &bytes).is_ok(), "{name}");
    }
}

/// Inserts a chunk, with a right checksum, before the first of kind `before`.
fn with_chunk(png: &[u8], before: &[u8; 4], kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let at = png.windows(4).position(|window| window == before).unwrap() - 4;
    let checked = [kind.as_slice(), body].concat();
    let crc = !checked.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    });
    [&png[..at], &(body.len() as u32).to_be_bytes(), &checked, &crc.to_be_bytes(), &png[at..]].concat()
}

#[test]
fn f23_an_animation_has_the_frames_it_has_and_not_those_it_claims() {
    let plain = encode_png(&formula(40, 30, 3), 40, 30, 3);
    for claimed in [0_u32, 1, 5_000, u32::MAX] {
        let body = [claimed.to_be_bytes(), 0_u32.to_be_bytes()].concat();
        let bytes = with_chunk(&plain, b"IDAT", b"acTL", &body);
        assert_eq!(probe(&bytes).unwrap().frames, 1, "{claimed} claimed");
        let image =
            decode_rgb(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{claimed}: {error}"));
        assert_eq!(image.data, formula(40, 30, 3));
    }
    // Frames that are there count, wherever they stand.
    let control = |number: u32| [&number.to_be_bytes()[..], &[0, 0, 0, 40, 0, 0, 0, 30], &[0; 14]].concat();
    let mut many = with_chunk(&plain, b"IDAT", b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]);
    for number in 0..5_000 {
        many = with_chunk(&many, b"IEND", b"fcTL", &control(number));
    }
    assert_eq!(probe(&many).unwrap().frames, 5_000);
    assert!(matches!(decode_rgb(&many, &Limits::default()), Err(PixelError::Bomb { what: "frames", .. })));
}

#[test]
fn f23_application_data_and_comments_of_length_0_and_1_are_passed_over() {
    let (width, height) = (90, 70);
    let whole = jpeg(&scene(width, height, 3), width, height, 3, Subsamp::Sub2x2, |_| {});
    let wanted = decode_rgb(&whole, &Limits::default()).unwrap();
    for marker in [0xE0, 0xE1, 0xE2, 0xEE, 0xFE] {
        for length in [0, 1] {
            let odd = [&whole[..2], &[0xFF, marker, 0, length], &whole[2..]].concat();
            let name = format!("marker {marker:X}, length {length}");
            let found =
                decode_rgb(&odd, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found, wanted, "{name}");
            for image_size in [41, 16] {
                let config = TransformConfig {
                    image_size,
                    resize_mode: ResizeMode::KeepRatio,
                    ..TransformConfig::default()
                };
                let made = run(&config, &odd).unwrap_or_else(|error| panic!("{name}: {error}"));
                let picture = |done: &Transformed| decode_rgb(&done.image, &Limits::default()).unwrap().data;
                // The plain file may go the way over coefficients, which rounds otherwise.
                let (found, plain) = (picture(&made), picture(&run(&config, &whole).unwrap()));
                assert_eq!(found.len(), plain.len(), "{name}");
                let apart: u32 = found.iter().zip(&plain).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                assert!(apart / found.len() as u32 <= 3, "{name}: {apart} over {}", found.len());
            }
        }
    }
    // A table without its length is no table.
    let at = whole.windows(2).position(|window| window == [0xFF, 0xDB]).unwrap();
    let mut broken = whole.clone();
    broken[at + 2..at + 4].fill(0);
    assert!(matches!(run(&keep_size(), &broken), Err(PixelError::Corrupt(_))));
}

#[test]
fn f23_bitmaps_of_os_2_have_headers_of_other_lengths() {
    let flat = DynamicImage::ImageRgb8(ImageBuffer::from_fn(13, 9, |x, y| {
        Rgb([(x * 19) as u8, (y * 28) as u8, (x * y) as u8])
    }));
    let usual = save(&flat, ImageFormat::Bmp);
    let number = |at: usize| u32::from_le_bytes(usual[at..at + 4].try_into().unwrap()) as usize;
    let (pixels, header) = (number(10), number(14));
    assert_eq!((pixels, header), (54, 40));
    for length in [16_usize, 20, 24, 36, 48, 60, 64] {
        let mut info = usual[14..54].to_vec();
        info.resize(length.max(40), 0);
        info.truncate(length);
        info[..4].copy_from_slice(&(length as u32).to_le_bytes());
        let mut bytes = [&usual[..14], &info, &usual[54..]].concat();
        bytes[10..14].copy_from_slice(&(14 + length as u32).to_le_bytes());
        let image =
            decode_rgb(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{length}: {error}"));
        assert_eq!(image.data, flat.to_rgb8().into_raw(), "a header of {length} bytes");
    }
}

#[test]
fn f23_bitmaps_with_wrong_planes_or_pixels_inside_the_palette_are_read_as_meant() {
    // 4 × 2 pixels of 8 bits with a palette of three colours.
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x42\0\0\0\x28\0\0\0\x04\0\0\0\x02\0\0\0\x01\0\x08\0".to_vec();
    bytes.extend([0; 16]);
    bytes.extend([3, 0, 0, 0, 0, 0, 0, 0]);
    let palette = [[10, 20, 30], [200, 100, 50], [1, 2, 3]];
    bytes.extend(palette.iter().flat_map(|[r, g, b]| [*b, *g, *r, 0]));
    let rows = [[0_usize, 1, 2, 1], [2, 1, 0, 0]];
    bytes.extend(rows.iter().rev().flatten().map(|index| *index as u8));
    let wanted: Vec<u8> = rows.iter().flatten().flat_map(|index| palette[*index]).collect();
    assert_eq!(decode_rgb(&bytes, &Limits::default()).unwrap().data, wanted);
    for (name, at, value) in
        [("no planes", 26, 0), ("five planes", 26, 5), ("pixels inside the palette", 10, 54)]
    {
        let mut odd = bytes.clone();
        odd[at] = value;
        let image = decode_rgb(&odd, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(image.data, wanted, "{name}");
    }
}

#[test]
fn f23_the_spare_bit_of_16_bit_bitmaps_is_not_alpha() {
    // Masks of 5 bits each, and the high bit as alpha, which the writer left at 0.
    let mut bytes =
        b"BM\0\0\0\0\0\0\0\0\x46\0\0\0\x38\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x10\0\x03\0\0\0".to_vec();
    bytes.extend([0; 20]);
    bytes.extend([0x7C00_u32, 0x03E0, 0x001F, 0x8000].iter().flat_map(|mask| mask.to_le_bytes()));
    bytes.extend([0x7C00_u16, 0x001F].iter().flat_map(|pixel| pixel.to_le_bytes()));
    assert_eq!(decode_rgb(&bytes, &Limits::default()).unwrap().data, [255, 0, 0, 0, 0, 255]);
    assert!(!run(&keep_size(), &bytes).unwrap().applied.alpha);
}

#[test]
fn f23_a_gif_without_any_colours_is_grey() {
    // One pixel of index 1 in a file that has no table; and the same with a table.
    let frame = b"\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x4C\x01\0\x3B";
    let bare = [b"GIF89a\x01\0\x01\0\0\0\0".as_slice(), frame].concat();
    assert_eq!(decode_rgb(&bare, &Limits::default()).unwrap().data, [1, 1, 1]);
    let coloured = [b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\x80\x00".as_slice(), frame].concat();
    assert_eq!(decode_rgb(&coloured, &Limits::default()).unwrap().data, [255, 128, 0]);
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
