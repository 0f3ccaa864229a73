//! A file that was cut is never a success, in any format and on any way through this crate; and a file that is whole is
//! not refused for the oddities of its headers.
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

use image::{DynamicImage, ImageBuffer, ImageFormat};
use pairmill_pixels::{
    CropBox, CropConfig, Cropper, EncodeFormat, Limits, PixelError, Placement, ResizeMode, TransformConfig,
    Transformer, TruncatedPolicy, View, decode_rgb, decode_rgb_at_least, perceptual_hash,
};
use support::{jpeg, noise};
use turbojpeg::Subsamp;

const WIDTH: u32 = 240;
const HEIGHT: u32 = 208;
const END: [u8; 2] = [0xFF, 0xD9];

/// What each way through the crate says of a file, by name.
fn every_way(bytes: &[u8]) -> Vec<(&'static str, Result<(), PixelError>)> {
    let base = TransformConfig { resize_mode: ResizeMode::KeepRatio, ..TransformConfig::default() };
    let configs = [
        ("planes", TransformConfig { image_size: 200, ..base.clone() }),
        ("coefficients", TransformConfig { image_size: 24, ..base.clone() }),
        ("shrunk planes", TransformConfig { image_size: 100, ..base.clone() }),
        ("pixels", TransformConfig { encode_format: EncodeFormat::Png, encode_quality: 1, ..base.clone() }),
        ("kept bytes", TransformConfig { skip_reencode: true, resize_mode: ResizeMode::No, ..base.clone() }),
    ];
    let mut said: Vec<_> = configs
        .into_iter()
        .map(|(name, config)| (name, Transformer::new(&config).unwrap().transform(bytes).map(drop)))
        .collect();
    let limits = Limits::default();
    said.push(("decode_rgb", decode_rgb(bytes, &limits).map(drop)));
    said.push(("decode_rgb_at_least", decode_rgb_at_least(bytes, &limits, 30, 30).map(drop)));
    said.push(("perceptual_hash", perceptual_hash(bytes, &limits).map(drop)));
    for (name, planes) in [("crop of pixels", false), ("crop of planes", true)] {
        let config = CropConfig { side: 32, planes, ..CropConfig::default() };
        let mut cropper = Cropper::new(&config).unwrap();
        let mut out = vec![0; cropper.out_bytes()];
        // A window at the very top, whose rows a cut file has.
        let view = View::Crop(CropBox { left: 0, top: 0, width: 40, height: 40 });
        said.push((name, cropper.write(bytes, |_, _| Placement { view, mirrored: false }, &mut out)));
        said.push(("decode once", cropper.decode_rgb(bytes).map(drop)));
    }
    said
}

fn complaints(name: &str, bytes: &[u8], is_right: impl Fn(&Result<(), PixelError>) -> bool) -> Vec<String> {
    let wrong = every_way(bytes).into_iter().filter(|(_, said)| !is_right(said));
    wrong.map(|(way, said)| format!("{name}, {way}: {said:?}")).collect()
}

fn is_half(said: &Result<(), PixelError>) -> bool {
    *said == Err(PixelError::Truncated)
}

fn scan_at(bytes: &[u8]) -> usize {
    bytes.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap()
}

fn with_segment(bytes: &[u8], segment: &[u8]) -> Vec<u8> {
    [&bytes[..2], segment, &bytes[2..]].concat()
}

/// Whole files, each with something odd that libjpeg warns of; the last with several.
fn odd_jpegs(plain: &[u8], is_progressive: bool) -> Vec<(&'static str, Vec<u8>)> {
    let version = plain.windows(5).position(|w| w == b"JFIF\0").unwrap() + 5;
    let mut revision = plain.to_vec();
    revision[version] = 3;
    let scan = scan_at(plain);
    let between = [&plain[..scan], &[1, 2, 3, 4], &plain[scan..]].concat();
    let profile = with_segment(plain, b"\xFF\xE2\0\x12ICC_PROFILE\0\x07\x02xy");
    let adobe = with_segment(plain, b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\x09");
    let mut all = vec![
        ("plain", plain.to_vec()),
        ("JFIF revision 3", revision),
        ("bytes between segments", between.clone()),
        ("piece 7 of 2 of a profile", profile),
        ("colour transform 9", adobe),
    ];
    if is_progressive {
        // Behind the data of the first scan, and of the last.
        let next = scan + 2 + plain[scan + 2..].windows(2).position(|w| w[0] == 0xFF && w[1] != 0).unwrap();
        all.push(("bytes after a scan", [&plain[..next], &[0; 9], &plain[next..]].concat()));
    } else {
        let mut parameters = plain.to_vec();
        let at = scan + 5 + usize::from(plain[scan + 4]) * 2;
        parameters[at..at + 3].copy_from_slice(&[0, 0, 0x21]);
        all.push(("scan parameters", parameters.clone()));
        all.push(("several", with_segment(&parameters, b"\xFF\xE2\0\x12ICC_PROFILE\0\x07\x02xyjunk\xFF")));
    }
    let end = plain.len() - 2;
    all.push(("bytes before the end", [&plain[..end], &[7; 50], &END].concat()));
    all.push(("no end", plain[..end].to_vec()));
    all.push(("no end, and more", [&between[..between.len() - 2], b"</html>"].concat()));
    all
}

fn kinds_of_jpeg() -> Vec<(String, bool, Vec<u8>)> {
    let pixels = noise(WIDTH, HEIGHT);
    let grey: Vec<u8> = pixels.as_chunks::<3>().0.iter().map(|rgb| rgb[1]).collect();
    let mut kinds = Vec::new();
    for subsamp in [Subsamp::None, Subsamp::Sub2x2, Subsamp::Gray] {
        for is_progressive in [false, true] {
            let (pixels, channels) = if subsamp == Subsamp::Gray { (&grey, 1) } else { (&pixels, 3) };
            let file = jpeg(pixels, WIDTH, HEIGHT, channels, subsamp, |codec| {
                codec.set_progressive(is_progressive).unwrap();
                codec.set_optimize(true).unwrap();
            });
            kinds.push((format!("{subsamp:?}, progressive {is_progressive}"), is_progressive, file));
        }
    }
    kinds
}

#[test]
fn f05_whole_jpegs_with_odd_headers_are_successes_with_the_same_pixels() {
    let mut wrong = Vec::new();
    for (kind, is_progressive, plain) in kinds_of_jpeg() {
        let expected = decode_rgb(&plain, &Limits::default()).unwrap();
        for (oddity, bytes) in odd_jpegs(&plain, is_progressive) {
            let name = format!("{kind}, {oddity}");
            wrong.extend(complaints(&name, &bytes, Result::is_ok));
            if decode_rgb(&bytes, &Limits::default()).is_ok_and(|found| found != expected) {
                wrong.push(format!("{name}: other pixels"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn f05_a_cut_jpeg_with_a_bad_header_is_truncated() {
    let mut wrong = Vec::new();
    for (kind, is_progressive, plain) in kinds_of_jpeg() {
        for (oddity, bytes) in odd_jpegs(&plain, is_progressive) {
            let data = scan_at(&bytes) + 14;
            for share in [1, 50, 90] {
                let cut = data + (plain.len() - 20 - data) * share / 100;
                // Not amid a marker or a stuffed zero, so that what is appended is a marker.
                let cut = (cut..).find(|cut| bytes[cut - 1] != 0xFF && bytes[*cut] != 0xFF).unwrap();
                let name = format!("{kind}, {oddity}, {share} %");
                wrong.extend(complaints(&name, &bytes[..cut], is_half));
                let ended = [&bytes[..cut], &END].concat();
                wrong.extend(complaints(&format!("{name}, with an end"), &ended, is_half));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn f05_restart_markers_do_not_hide_that_data_is_missing() {
    let plain = include_bytes!("reference/restart.jpg");
    let restarts: Vec<usize> = plain
        .windows(2)
        .enumerate()
        .filter(|(_, w)| matches!(w, [0xFF, 0xD0..=0xD7]))
        .map(|(at, _)| at)
        .collect();
    let odd = |at: usize| [&plain[..at], &[0; 5], &plain[at..]].concat();
    let mut wrong = complaints("bytes before a restart", &odd(restarts[1]), Result::is_ok);
    let expected = decode_rgb(plain, &Limits::default()).unwrap();
    assert_eq!(decode_rgb(&odd(restarts[1]), &Limits::default()).unwrap(), expected);
    // The file ends, or an interval does, behind bytes that are too many in an earlier one.
    let cut = restarts[restarts.len() / 2] + 9;
    wrong.extend(complaints("cut later", &[&odd(restarts[1])[..cut], &END].concat(), is_half));
    let (from, until) = (restarts[4] - 20, restarts[4]);
    let hole = [&odd(restarts[1])[..from + 5], &plain[until..]].concat();
    wrong.extend(complaints("an interval cut short", &hole, is_half));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn f05_a_progressive_jpeg_cut_between_scans_is_truncated() {
    for (kind, is_progressive, plain) in kinds_of_jpeg() {
        let scans: Vec<usize> =
            plain.windows(2).enumerate().filter(|(_, w)| *w == [0xFF, 0xDA]).map(|(at, _)| at).collect();
        for scan in scans.iter().skip(1).filter(|_| is_progressive) {
            // The tables of the scan come before it, and behind the data of the one before.
            let table = plain[..*scan].windows(2).rposition(|w| w == [0xFF, 0xC4]).unwrap_or(*scan);
            let wrong = complaints(&kind, &plain[..table], is_half);
            assert!(wrong.is_empty(), "cut at {table}: {}", wrong.join("\n"));
        }
    }
}

#[test]
fn f05_keeping_truncated_jpegs_still_keeps_them() {
    let config = TransformConfig { truncated: TruncatedPolicy::Keep, ..TransformConfig::default() };
    let mut transformer = Transformer::new(&config).unwrap();
    for (kind, is_progressive, plain) in kinds_of_jpeg() {
        for (oddity, bytes) in odd_jpegs(&plain, is_progressive) {
            let kept = transformer.transform(&bytes[..plain.len() / 2]);
            assert!(kept.is_ok(), "{kind}, {oddity}: {kept:?}");
        }
    }
}

fn shared(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faults").join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: {} is not there", path.display());
    }
    bytes
}

#[test]
fn f05_the_listed_files_are_what_they_are() {
    let mut wrong = Vec::new();
    for name in ["cut-plain.jpg", "cut-jfif3.jpg", "cut-extraneous.jpg", "cut-sos.jpg"] {
        wrong.extend(shared(name).map(|bytes| complaints(name, &bytes, is_half)).unwrap_or_default());
    }
    let whole = shared("whole-jfif3.jpg").map(|bytes| complaints("whole-jfif3.jpg", &bytes, Result::is_ok));
    wrong.extend(whole.unwrap_or_default());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn save(format: ImageFormat) -> Vec<u8> {
    let rgb = DynamicImage::ImageRgb8(ImageBuffer::from_raw(WIDTH, HEIGHT, noise(WIDTH, HEIGHT)).unwrap());
    let picture = if format == ImageFormat::Gif { DynamicImage::ImageRgba8(rgb.to_rgba8()) } else { rgb };
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// The container brought in order around data that was cut.
fn mended(format: ImageFormat, cut: &[u8]) -> Vec<u8> {
    let mut out = cut.to_vec();
    match format {
        ImageFormat::Gif => out.extend([0, 0x3B]),
        ImageFormat::WebP => {
            out.resize(out.len().next_multiple_of(2), 0);
            let length = out.len() as u32;
            out[4..8].copy_from_slice(&(length - 8).to_le_bytes());
            out[16..20].copy_from_slice(&(length - 20).to_le_bytes());
        }
        _ => {}
    }
    out
}

#[test]
fn f05_no_format_passes_a_cut_picture_as_whole() {
    let lossy = {
        let encoder_input = noise(WIDTH, HEIGHT);
        webp::Encoder::from_rgb(&encoder_input, WIDTH, HEIGHT).encode(70.0).to_vec()
    };
    let mut wrong = Vec::new();
    for (format, plain) in [
        (ImageFormat::Png, save(ImageFormat::Png)),
        (ImageFormat::Gif, save(ImageFormat::Gif)),
        (ImageFormat::WebP, save(ImageFormat::WebP)),
        (ImageFormat::WebP, lossy),
        (ImageFormat::Bmp, save(ImageFormat::Bmp)),
        (ImageFormat::Tiff, save(ImageFormat::Tiff)),
    ] {
        wrong.extend(complaints(&format!("{format:?}"), &plain, Result::is_ok));
        for share in [30, 60, 95] {
            let cut = &plain[..plain.len() * share / 100];
            for (bytes, how) in [(cut.to_vec(), "cut"), (mended(format, cut), "mended")] {
                let name = format!("{format:?} of {} bytes {how} at {share} %", plain.len());
                wrong.extend(complaints(&name, &bytes, Result::is_err));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A WebP of every kind that encoders write: lossy and lossless, with and without alpha, with metadata, animated.
fn kinds_of_webp() -> Vec<(&'static str, Vec<u8>)> {
    let rgb = noise(WIDTH, HEIGHT);
    let rgba: Vec<u8> = rgb.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, *r]).collect();
    let opaque = webp::Encoder::from_rgb(&rgb, WIDTH, HEIGHT);
    let clear = webp::Encoder::from_rgba(&rgba, WIDTH, HEIGHT);
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        let length = (body.len() as u32).to_le_bytes();
        [&kind[..], &length, body, &vec![0; body.len() & 1]].concat()
    };
    let riff = |chunks: &[u8]| {
        let length = (chunks.len() as u32 + 4).to_le_bytes();
        [b"RIFF", &length[..], b"WEBP", chunks].concat()
    };
    let canvas = |flags: u8| {
        let side = |side: u32| (side - 1).to_le_bytes();
        [&[flags, 0, 0, 0][..], &side(WIDTH)[..3], &side(HEIGHT)[..3]].concat()
    };
    let lossy = opaque.encode(70.0).to_vec();
    let described =
        [chunk(b"VP8X", &canvas(0x08)), lossy[12..].to_vec(), chunk(b"EXIF", b"II*\0\x08\0\0\0\0")];
    let side = |side: u32| (side - 1).to_le_bytes();
    let mut frame = [&[0; 6][..], &side(WIDTH)[..3], &side(HEIGHT)[..3], &[100, 0, 0, 0]].concat();
    frame.extend(&lossy[12..]);
    let frame = chunk(b"ANMF", &frame);
    let animated = [chunk(b"VP8X", &canvas(0x02)), chunk(b"ANIM", &[0; 6]), frame.clone(), frame];
    vec![
        ("lossy with alpha", clear.encode(70.0).to_vec()),
        ("lossless", opaque.encode_lossless().to_vec()),
        ("lossless with alpha", clear.encode_lossless().to_vec()),
        ("with EXIF", riff(&described.concat())),
        ("animated", riff(&animated.concat())),
        ("lossy", lossy),
    ]
}

#[test]
fn f05_a_webp_that_lacks_its_last_bytes_is_truncated() {
    let mut wrong = Vec::new();
    for (kind, plain) in kinds_of_webp() {
        wrong.extend(complaints(kind, &plain, Result::is_ok));
        for missing in [2, 3, 4, 5, 8, 9, 20, 100] {
            let name = format!("{kind} without its last {missing} bytes");
            wrong.extend(complaints(&name, &plain[..plain.len() - missing], is_half));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn f05_a_webp_whose_sizes_are_a_little_off_is_whole() {
    let mut wrong = Vec::new();
    for (kind, plain) in kinds_of_webp() {
        let size = plain.len() as u32 - 8;
        let with_size = |size: u32| [&plain[..4], &size.to_le_bytes(), &plain[8..]].concat();
        wrong.extend(complaints(
            &format!("{kind}, size of the whole file"),
            &with_size(size + 8),
            Result::is_ok,
        ));
        wrong.extend(complaints(&format!("{kind}, one too many"), &with_size(size + 1), Result::is_ok));
        wrong.extend(complaints(&format!("{kind}, one too few"), &with_size(size - 1), Result::is_ok));
        wrong.extend(complaints(
            &format!("{kind}, more behind"),
            &[&plain, &b"</html>"[..]].concat(),
            Result::is_ok,
        ));
        // Of a chunk of odd length, the zero behind it may be missing.
        let mut at = 12;
        let mut length = 0;
        while let Some(field) = plain.get(at + 4..at + 8) {
            length = u32::from_le_bytes(field.try_into().unwrap()) as usize;
            at += 8 + length.next_multiple_of(2);
        }
        if length % 2 == 1 {
            assert_eq!(at, plain.len());
            wrong.extend(complaints(
                &format!("{kind}, no padding"),
                &plain[..plain.len() - 1],
                Result::is_ok,
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn f05_a_tiff_whose_jpeg_strips_are_cut_is_truncated() {
    let strip = jpeg(&noise(WIDTH, HEIGHT), WIDTH, HEIGHT, 3, Subsamp::None, |_| {});
    let whole = support::tiff_of_jpeg(WIDTH, HEIGHT, &strip);
    let wrong = complaints("TIFF of JPEG", &whole, Result::is_ok);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for share in [30, 60, 95] {
        let cut = [&strip[..strip.len() * share / 100], &END].concat();
        let wrong = complaints("TIFF of JPEG", &support::tiff_of_jpeg(WIDTH, HEIGHT, &cut), is_half);
        assert!(wrong.is_empty(), "{share} %: {}", wrong.join("\n"));
    }
}
