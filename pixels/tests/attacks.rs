//! Hostile files, each of which must give exactly its error, quickly and in bounded memory; and mutations of good
//! files, which may give any error but must neither panic nor lie about the size of what they made.
//!
//! `attacks/` holds the files and `list.json` (file, expected error, why). `PAIRMILL_WRITE_ATTACKS=1 cargo test -p
//! pairmill-pixels --test attacks` writes the files anew from the code below.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use std::path::PathBuf;

use pairmill_pixels::{PixelError, ResizeMode, TransformConfig, Transformer, decode_rgb, hostile};
use proptest::prelude::*;
use support::{encode_png, formula, jpeg, planar_tiled_tiff, scene, tiff_of_jpeg, to_webp};
use turbojpeg::Subsamp;

/// Most that the whole list may add to the resident memory at its peak, in KiB. One honest 4096 × 4096 picture needs
/// about as much.
const MAX_PEAK_KIB: u64 = 64 * 1024;

struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    expected: &'static str,
    why: &'static str,
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn png(width: u32, height: u32, depth: u8, colour: u8, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([depth, colour, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1A\n".to_vec();
    let all = std::iter::once((b"IHDR", header.as_slice()))
        .chain(chunks.iter().copied())
        .chain([(b"IEND", &[][..])]);
    for (kind, body) in all {
        out.extend((body.len() as u32).to_be_bytes());
        let checked = [kind.as_slice(), body].concat();
        out.extend(&checked);
        out.extend(crc32(&checked).to_be_bytes());
    }
    out
}

/// A zlib stream of one stored block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let (a, b) = bytes
        .iter()
        .fold((1_u32, 0_u32), |(a, b), v| ((a + u32::from(*v)) % 65_521, (a + u32::from(*v) + b) % 65_521));
    let length = bytes.len() as u16;
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(bytes);
    out.extend(((b << 16) | a).to_be_bytes());
    out
}

fn frame_header_at(jpeg: &[u8]) -> usize {
    jpeg.windows(2).position(|w| matches!(w, [0xFF, 0xC0 | 0xC2])).unwrap()
}

fn resized_jpeg(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut out = jpeg.to_vec();
    let at = frame_header_at(jpeg) + 5;
    out[at..at + 2].copy_from_slice(&height.to_be_bytes());
    out[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
    out
}

fn gif(frames: usize) -> Vec<u8> {
    let mut out = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF".to_vec();
    for _ in 0..frames {
        out.extend(b"\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0");
    }
    out.push(0x3B);
    out
}

fn webp_canvas(width: u32, height: u32, inner: &[u8]) -> Vec<u8> {
    let mut body = b"WEBPVP8X\x0A\0\0\0\0\0\0\0".to_vec();
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    body.extend(&inner[12..]);
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn tiff(width: u32, height: u32, next: u32) -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0\x08\0".to_vec();
    let tags: [(u16, u32); 8] =
        [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height), (279, u32::MAX)];
    for (tag, value) in tags {
        out.extend(tag.to_le_bytes());
        out.extend(4_u16.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend(next.to_le_bytes());
    out
}

/// An EXIF segment's structure of `tags` entries that all claim the same `length` bytes of text.
fn overlapping_exif(tags: u16, length: u32) -> Vec<u8> {
    let mut out = b"MM\0*\0\0\0\x08".to_vec();
    out.extend(tags.to_be_bytes());
    let text_at = 8 + 2 + u32::from(tags) * 12 + 4;
    for tag in 1..=tags {
        out.extend(tag.to_be_bytes());
        out.extend(2_u16.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(text_at.to_be_bytes());
    }
    out.extend([0; 4]);
    out.resize(text_at as usize + length as usize, b'A');
    out
}

/// A little-endian structure with a directory of each kind, a maker note and values of all types, and a loop at the end.
fn exif_of_all_kinds() -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    let mut directory = |entries: &[(u16, u16, u32, u32)], next: u32| {
        out.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            out.extend(tag.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend(count.to_le_bytes());
            out.extend(value.to_le_bytes());
        }
        out.extend(next.to_le_bytes());
    };
    // Image at 8, EXIF at 74, GPS at 140, interoperability at 158, thumbnail at 176; values from 194.
    directory(
        &[
            (0x010F, 2, 6, 194),
            (0x0112, 3, 1, 6),
            (0x011A, 5, 1, 200),
            (0x8769, 4, 1, 74),
            (0x8825, 4, 1, 140),
        ],
        176,
    );
    directory(
        &[
            (0x829A, 10, 1, 200),
            (0x9000, 7, 4, 0x3032_3330),
            (0x927C, 7, 30, 194),
            (0xA005, 4, 1, 158),
            (0x9204, 12, 2, 194),
        ],
        0,
    );
    directory(&[(0x001D, 2, 11, 194)], 0);
    directory(&[(0x0001, 2, 4, 0x0038_3952)], 0);
    directory(&[(0x0103, 3, 1, 6)], 8);
    out.extend(b"Canon\0\x01\0\0\0\x7D\0\0\0 and some bytes more than that");
    out
}

/// Structures of EXIF alone, for its fuzz target.
fn exif_seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("all-kinds", exif_of_all_kinds()),
        ("overlapping", overlapping_exif(40, 300)),
        ("looping", b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0".to_vec()),
        ("bigtiff", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec()),
    ]
}

/// A progressive JPEG of `scans` scans without data, and a header that says 9,000×9,000.
fn many_scans(progressive: &[u8], scans: usize) -> Vec<u8> {
    let scan = b"\xFF\xDA\0\x08\x01\x01\0\x01\x3F\0";
    let large = resized_jpeg(progressive, 9_000, 9_000);
    [&large[..large.len() - 2], &scan.repeat(scans), &[0xFF, 0xD9]].concat()
}

fn attacks() -> Vec<Attack> {
    let good = jpeg(&scene(64, 48, 1), 64, 48, 3, Subsamp::Sub2x2, |_| {});
    let progressive =
        jpeg(&formula(16, 16, 1), 16, 16, 1, Subsamp::Gray, |c| c.set_progressive(true).unwrap());
    let last_scan = progressive.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap();
    let (before, scan) = (&progressive[..last_scan], &progressive[last_scan..progressive.len() - 2]);
    let scans = [before, &scan.repeat(500), &[0xFF, 0xD9]].concat();
    let frame = frame_header_at(&good);
    let second = resized_jpeg(&good, 60_000, 1_000)[frame..frame + 19].to_vec();
    let two_frames = [&good[..frame + 19], &second, &good[frame + 19..]].concat();
    let mut twelve_bits = good.clone();
    twelve_bits[frame + 4] = 12;
    let picture = encode_png(&formula(40, 40, 3), 40, 40, 3);
    let webp = to_webp(&formula(8, 8, 3), 8, 8);
    let mut endless_chunk = webp.clone();
    endless_chunk[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend([50_000_i32.to_le_bytes(), (-50_000_i32).to_le_bytes(), [1, 0, 24, 0]].concat());
    bmp.extend([0; 24]);
    let overlapping = overlapping_exif(1_000, 20_000);
    let app1 =
        [b"\xFF\xE1", &(overlapping.len() as u16 + 8).to_be_bytes()[..], b"Exif\0\0", &overlapping].concat();
    let exif_jpeg = [&good[..2], &app1, &good[2..]].concat();
    let strip = jpeg(&scene(64, 48, 1), 64, 48, 3, Subsamp::None, |_| {});
    let mut large_inside = webp_canvas(8, 8, &to_webp(&formula(8, 8, 3), 8, 8));
    let inner = large_inside.windows(4).position(|w| w == b"VP8L").unwrap() + 9;
    large_inside[inner..inner + 4].copy_from_slice(&(0x3FFF_u32 << 14 | 0x3FFF).to_le_bytes());
    let row = [0_u8, 0b00_01_10_11];
    let rows = [row; 4].concat();
    let attack = |name, expected, bytes: &[u8], why| Attack { name, bytes: bytes.to_vec(), expected, why };
    vec![
        attack("empty", "not_an_image", b"", "an empty body with status 200"),
        attack("one-byte", "not_an_image", b"\xFF", "shorter than any magic number"),
        attack(
            "page.jpg",
            "not_an_image",
            b"<!DOCTYPE html><html><body>Not found <svg></svg></body></html>",
            "HTML under an image's name, an inline SVG in it",
        ),
        attack(
            "drawing.svg",
            "unsupported",
            b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "a vector image",
        ),
        attack(
            "photo.avif",
            "unsupported",
            b"\0\0\0\x1Cftypavif\0\0\0\0mif1miafMA1B",
            "a format that is not decoded",
        ),
        attack(
            "60000x60000.png",
            "bomb",
            &png(60_000, 60_000, 8, 6, &[(b"IDAT", &stored(&[0; 64]))]),
            "14 GB promised by 150 bytes",
        ),
        attack("cut.png", "truncated", &picture[..picture.len() / 2], "a PNG that ends amid its pixels"),
        attack("no-pixels.png", "corrupt", &png(10, 10, 8, 2, &[]), "a PNG without image data"),
        attack(
            "16-bit.png",
            "ok",
            &png(1, 1, 16, 0, &[(b"IDAT", &stored(&[0, 0x80, 0x80]))]),
            "16 bits per channel",
        ),
        attack(
            "index-out-of-palette.png",
            "ok",
            &png(4, 4, 2, 3, &[(b"PLTE", &[255, 0, 0, 0, 255, 0]), (b"IDAT", &stored(&rows))]),
            "indices 2 and 3 into a palette of 2; they decode to black",
        ),
        attack(
            "no-palette.png",
            "corrupt",
            &png(4, 4, 2, 3, &[(b"IDAT", &stored(&rows))]),
            "palette indices without a palette",
        ),
        attack("5000-frames.gif", "bomb", &gif(5_000), "an animation of 5,000 frames"),
        attack(
            "65535x65535.gif",
            "bomb",
            &[b"GIF89a\xFF\xFF\xFF\xFF".as_slice(), &gif(1)[10..]].concat(),
            "a 17 GB canvas around one pixel",
        ),
        attack(
            "65535x65535.jpg",
            "bomb",
            &resized_jpeg(&good, 65_535, 65_535),
            "the largest JPEG header around a thumbnail",
        ),
        attack(
            "20000x20000.jpg",
            "bomb",
            &resized_jpeg(&good, 20_000, 20_000),
            "sides within the limit, 400 million pixels",
        ),
        attack(
            "9000x9000-cut.jpg",
            "truncated",
            &resized_jpeg(&good, 9_000, 9_000),
            "81 million pixels, within the limits, with data for 3,000",
        ),
        attack("500-scans.jpg", "bomb", &scans, "a progressive JPEG that repeats its last scan 500 times"),
        attack(
            "65000x1.png",
            "bomb",
            &encode_png(&[128; 65_000], 65_000, 1, 1),
            "under keep_ratio a sliver grows to 4 billion pixels",
        ),
        attack("no-height.jpg", "corrupt", &resized_jpeg(&good, 64, 0), "a height of 0"),
        attack(
            "two-frames.jpg",
            "corrupt",
            &two_frames,
            "a second, larger frame header behind the checked one",
        ),
        attack("12-bit.jpg", "unsupported", &twelve_bits, "12 bits per sample"),
        attack("cut.jpg", "truncated", &good[..good.len() / 2], "a JPEG that ends amid its pixels"),
        attack("header-only.jpg", "truncated", &good[..frame + 10], "a JPEG that ends amid its header"),
        attack(
            "canvas-larger-than-picture.webp",
            "corrupt",
            &webp_canvas(4_000, 4_000, &webp),
            "a canvas of 4000x4000 around a picture of 8x8",
        ),
        attack(
            "16777216x16777216.webp",
            "bomb",
            &webp_canvas(1 << 24, 1 << 24, &webp),
            "the largest WebP canvas",
        ),
        attack(
            "endless-chunk.webp",
            "truncated",
            &endless_chunk,
            "a chunk of 4 GB, of which a file of 62 bytes holds the beginning",
        ),
        attack("50000x-50000.bmp", "bomb", &bmp, "a large bitmap with rows from the top"),
        attack(
            "looping.tiff",
            "ok",
            &tiff(10, 10, 8),
            "a directory that names itself as the next, and a strip of 4 GB; all of its 100 pixels are there",
        ),
        attack("60000x60000.tiff", "bomb", &tiff(60_000, 60_000, 0), "a large TIFF"),
        attack(
            "planar-tiled.tiff",
            "ok",
            &planar_tiled_tiff(),
            "planes in tiles, on which the decoder of tiff 0.11 panics",
        ),
        attack(
            "jpeg-strip-of-65535x65535.tiff",
            "corrupt",
            &tiff_of_jpeg(64, 48, &resized_jpeg(&strip, 65_535, 65_535)),
            "a strip of 64x48 that calls itself 4 billion pixels",
        ),
        attack(
            "cut-jpeg-strip.tiff",
            "truncated",
            &tiff_of_jpeg(64, 48, &strip[..strip.len() / 2]),
            "a strip that ends amid its pixels",
        ),
        attack(
            "overlapping-exif.jpg",
            "ok",
            &exif_jpeg,
            "1,000 EXIF tags that all claim the same 20 kB of text; the picture is whole",
        ),
        attack(
            "30-scans-of-81-megapixels.jpg",
            "bomb",
            &many_scans(&progressive, 30),
            "a progressive JPEG within the limits on pixels and on scans, but not on both",
        ),
        attack(
            "picture-larger-than-canvas.webp",
            "corrupt",
            &large_inside,
            "a canvas of 8x8 around a picture that calls itself 16384x16384",
        ),
    ]
}

fn word(result: &Result<(), PixelError>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(PixelError::NotAnImage) => "not_an_image",
        Err(PixelError::Unsupported(_)) => "unsupported",
        Err(PixelError::Truncated) => "truncated",
        Err(PixelError::Corrupt(_)) => "corrupt",
        Err(PixelError::Bomb { .. }) => "bomb",
        Err(PixelError::Panicked(_)) => "panicked",
        Err(_) => "another",
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("attacks")
}

/// Peak resident memory so far in KiB; `None` where there is no /proc.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn every_hostile_file_gives_its_error_in_bounded_memory() {
    if std::env::var_os("PAIRMILL_WRITE_ATTACKS").is_some() {
        let mut list = serde_json::Map::new();
        for attack in attacks() {
            std::fs::write(folder().join(attack.name), &attack.bytes).unwrap();
            list.insert(
                attack.name.to_owned(),
                serde_json::json!({"expected": attack.expected, "why": attack.why}),
            );
        }
        std::fs::create_dir_all(folder().join("exif")).unwrap();
        for (name, bytes) in exif_seeds() {
            std::fs::write(folder().join("exif").join(name), bytes).unwrap();
        }
        std::fs::write(folder().join("list.json"), serde_json::to_string_pretty(&list).unwrap() + "\n")
            .unwrap();
    }
    let list = std::fs::read_to_string(folder().join("list.json")).unwrap();
    let list: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&list).unwrap();
    assert_eq!(list.len(), attacks().len(), "write the files anew (see the head of this test)");
    let config = TransformConfig { resize_mode: ResizeMode::KeepRatio, ..TransformConfig::default() };
    let mut transformer = Transformer::new(&config).unwrap();
    let start = peak_kib();
    let mut wrong = Vec::new();
    for (name, entry) in &list {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let before = peak_kib();
        if name == "photo.avif" && cfg!(feature = "avif") {
            continue;
        }
        let result = transformer.transform(&bytes).map(|_| ());
        let decoded = decode_rgb(&bytes, &config.limits).map(|_| ());
        let added = before.zip(peak_kib()).map_or(0, |(before, after)| after - before);
        for result in [&result, &decoded] {
            // Only the transformer decodes small what it will write small; a full decode may take more memory.
            let grown = name == "65000x1.png" && std::ptr::eq(result, &decoded);
            if word(result) != entry["expected"] && !grown {
                wrong.push(format!("{name}: {result:?} instead of {}", entry["expected"]));
            }
        }
        // The one that is within all limits may use what an honest picture of its size would.
        if added > MAX_PEAK_KIB && name != "9000x9000-cut.jpg" {
            wrong.push(format!("{name}: {added} KiB at the peak"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if let Some((start, end)) = start.zip(peak_kib()) {
        assert!(end - start < 6 * MAX_PEAK_KIB, "{} KiB at the peak of the whole list", end - start);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let pixels = scene(48, 36, 4);
    let mut seeds: Vec<Vec<u8>> =
        attacks().into_iter().map(|attack| attack.bytes).filter(|b| b.len() < 4_000).collect();
    for subsamp in [Subsamp::None, Subsamp::Sub2x2, Subsamp::Sub4x1] {
        for progressive in [false, true] {
            let tune = |codec: &mut turbojpeg::Compressor| codec.set_progressive(progressive).unwrap();
            seeds.push(support::with_orientation(&jpeg(&pixels, 48, 36, 3, subsamp, tune), 6));
        }
    }
    seeds.push(to_webp(&pixels, 48, 36));
    seeds.push(encode_png(&pixels, 48, 36, 3));
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_neither_panic_nor_lie(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static SEEDS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(seeds);
        let mut bytes = seed.get(&SEEDS).clone();
        for (at, value) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        prop_assert_eq!(hostile::exercise(&bytes), Ok(()));
    }

    #[test]
    fn f02_mutated_exif_is_bounded_json_or_refused(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let seeds = exif_seeds();
        let mut bytes = seed.get(&seeds).1.clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert_eq!(hostile::exercise_exif(&bytes), Ok(()));
    }

    #[test]
    fn noise_behind_a_magic_number_is_harmless(
        magic in prop::sample::select(vec![
            &b"\xFF\xD8\xFF"[..], b"\x89PNG\r\n\x1A\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"BM", b"II*\0", b"MM\0*",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert_eq!(hostile::exercise(&[magic, &noise].concat()), Ok(()));
    }
}
