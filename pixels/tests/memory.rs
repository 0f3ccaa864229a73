//! Memory is bounded by the limits, not by what a header says. The peak belongs to the whole process, so this is a test
//! binary of its own with one test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use pairmill_pixels::{ExifFault, PixelError, TransformConfig, Transformed, Transformer};
use support::{encode_png, formula};

/// Most that one file may add to the resident memory at its peak, in KiB.
const MAX_ADDED_KIB: u64 = 40 * 1024;

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A PNG with one more chunk behind its header.
fn with_chunk(png: &[u8], kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let checked = [kind.as_slice(), body].concat();
    let length = (body.len() as u32).to_be_bytes();
    [&png[..33], &length, &checked, &crc32(&checked).to_be_bytes(), &png[33..]].concat()
}

/// A zlib stream of zeros, 258 of them in 13 bits: a block of fixed codes (RFC 1951, 3.2.6).
fn zeros(repeats: usize) -> Vec<u8> {
    let (mut out, mut held, mut count) = (vec![0x78, 0x01], 0_u32, 0);
    let mut put = |bits: &str| {
        for bit in bits.bytes() {
            held |= u32::from(bit == b'1') << count;
            count += 1;
            if count == 8 {
                out.push(held as u8);
                (held, count) = (0, 0);
            }
        }
    };
    // The last block, fixed codes, a zero; then "258 bytes from one before", then the end.
    put("110");
    put("00110000");
    (0..repeats).for_each(|_| put("1100010100000"));
    put("0000000");
    put("0000000");
    let total = repeats as u32 * 258 + 1;
    out.extend(((total % 65_521) << 16 | 1).to_be_bytes());
    out
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// `exif_overlap.py` of the faults: `tags` entries that claim the same million bytes.
fn overlapping_exif(tags: u16) -> Vec<u8> {
    let mut out = b"MM\0*\0\0\0\x08".to_vec();
    out.extend(tags.to_be_bytes());
    for tag in 1..=tags {
        out.extend(tag.to_be_bytes());
        out.extend(2_u16.to_be_bytes());
        out.extend(1_000_000_u32.to_be_bytes());
        out.extend((14 + 12 * u32::from(tags)).to_be_bytes());
    }
    out.resize(1_100_000, b'A');
    out
}

#[test]
fn f02_what_a_header_claims_is_not_held() {
    let picture = encode_png(&formula(60, 40, 3), 60, 40, 3);
    let mut transformer = Transformer::new(&TransformConfig::default()).unwrap();
    transformer.transform(&picture).unwrap();
    // A list of three million numbers in a TIFF, all from the same place.
    let tags: [(u16, &[u32]); 7] =
        [(256, &[60]), (257, &[40]), (258, &[8]), (259, &[1]), (262, &[1]), (277, &[1]), (278, &[40])];
    let mut tiff = support::tiff(&tags, (273, 279), &[&[7; 60 * 40]]);
    tiff.resize(13_000_000, 0);
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize + 2;
    for entry in tiff[directory..directory + 9 * 12].chunks_mut(12) {
        if matches!(entry[..2], [0x11 | 0x17, 1]) {
            entry[4..12].copy_from_slice(&[3_000_000_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat());
        }
    }
    let dropped = |result: &Result<Transformed, PixelError>| {
        result.as_ref().is_ok_and(|done| done.exif.is_none() && done.exif_fault == Some(ExifFault::TooLarge))
    };
    let whole = |result: &Result<Transformed, PixelError>| result.is_ok();
    let bomb = |result: &Result<Transformed, PixelError>| matches!(result, Err(PixelError::Bomb { .. }));
    type Verdict<'a> = &'a dyn Fn(&Result<Transformed, PixelError>) -> bool;
    let profile = [b"x\0\0".as_slice(), &zeros(500_000)].concat();
    let text = [b"Comment\0\0".as_slice(), &zeros(500_000)].concat();
    let files: [(&str, Vec<u8>, Verdict<'_>); 4] = [
        ("EXIF tags of 3 GB", with_chunk(&picture, b"eXIf", &overlapping_exif(3_000)), &dropped),
        ("a colour profile of 129 MB", with_chunk(&picture, b"iCCP", &profile), &whole),
        ("a text of 129 MB", with_chunk(&picture, b"zTXt", &text), &whole),
        ("lists of 3 million strips", tiff, &bomb),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, is_right) in files {
        let before = peak_kib();
        let result = transformer.transform(&bytes);
        let added = before.zip(peak_kib()).map_or(0, |(before, after)| after - before);
        if !is_right(&result) {
            wrong.push(format!("{name}: {:?}", result.map(|done| (done.exif, done.exif_fault))));
        }
        if added > MAX_ADDED_KIB {
            wrong.push(format!("{name}: {added} KiB"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
