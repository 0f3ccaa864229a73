//! AVIF, where it is built in: every kind that the web has comes out as the picture it was made from (`reference/avif.py`).
#![cfg(feature = "avif")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::path::PathBuf;

use pairmill_pixels::{
    Format, Limits, PixelError, ResizeMode, TransformConfig, Transformer, decode_rgb, hostile, probe,
};
use proptest::prelude::*;
use support::formula;

const KINDS: [&str; 8] = ["444", "422", "420", "limited", "grey", "alpha", "premultiplied", "lossless"];

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{name}.avif"));
    std::fs::read(path).unwrap()
}

#[test]
fn f23_avif_of_every_kind_is_the_picture_it_was_made_from() {
    let original = formula(47, 33, 3);
    let transparent = formula(47, 33, 4);
    for name in KINDS {
        let bytes = file(name);
        let header = probe(&bytes).unwrap();
        assert_eq!((header.format, header.width, header.height), (Format::Avif, 47, 33), "{name}");
        let found = decode_rgb(&bytes, &Limits::default()).unwrap().data;
        let wanted: Vec<u8> = match name {
            "grey" => original
                .as_chunks::<3>()
                .0
                .iter()
                .flat_map(|[r, g, b]| {
                    let sum = u32::from(*r) * 299 + u32::from(*g) * 587 + u32::from(*b) * 114;
                    [((sum + 500) / 1_000) as u8; 3]
                })
                .collect(),
            "alpha" | "premultiplied" => transparent
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|[r, g, b, alpha]| {
                    let alpha = u32::from(*alpha);
                    [r, g, b].map(|c| ((u32::from(*c) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
                })
                .collect(),
            _ => original.clone(),
        };
        assert_eq!(found.len(), wanted.len());
        let apart: Vec<u8> = found.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).collect();
        let mean = apart.iter().map(|v| f64::from(*v)).sum::<f64>() / apart.len() as f64;
        // An encoder's loss at quality 95; what was multiplied by alpha before it was coded loses more.
        let (most, average) = if name == "premultiplied" { (12, 2.0) } else { (8, 1.2) };
        assert!(
            *apart.iter().max().unwrap() <= most && mean <= average,
            "{name}: {:?}, {mean}",
            apart.iter().max()
        );
    }
}

#[test]
fn f23_avif_goes_through_the_transformer_and_says_what_was_done() {
    let config =
        TransformConfig { image_size: 16, resize_mode: ResizeMode::KeepRatio, ..TransformConfig::default() };
    let mut transformer = Transformer::new(&config).unwrap();
    let done = transformer.transform(&file("alpha")).unwrap();
    assert_eq!((done.width, done.height, done.original_width), (Some(23), Some(16), Some(47)));
    assert!(done.applied.alpha && !done.applied.palette);
}

#[test]
fn f23_avif_is_bounded_by_what_its_header_says() {
    let bytes = file("420");
    let small = Limits { max_pixels: 1_000, ..Limits::default() };
    assert!(matches!(decode_rgb(&bytes, &small), Err(PixelError::Bomb { what: "pixels", .. })));
    let poor = Limits { max_decode_bytes: 10_000, ..Limits::default() };
    assert!(matches!(decode_rgb(&bytes, &poor), Err(PixelError::Bomb { what: "bytes of memory", .. })));
    // The container says that the picture is smaller than the stream has it: the decoder is held to the container.
    let at = bytes.windows(4).position(|window| window == b"ispe").unwrap() + 8;
    for size in [1_u32, 46, 48, 4_000] {
        let mut lying = bytes.clone();
        lying[at..at + 4].copy_from_slice(&size.to_be_bytes());
        assert!(decode_rgb(&lying, &Limits::default()).is_err(), "a width of {size}");
    }
    for end in (0..bytes.len()).step_by(7) {
        assert!(decode_rgb(&bytes[..end], &Limits::default()).is_err(), "cut at {end}");
    }
}

fn framed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
}

/// A picture of 100 × 70 pixels in two columns and two rows of the same tile, or of one that claims another size.
fn grid(tile_side: u8, columns: u8) -> Vec<u8> {
    let tile = file("tile");
    let data = tile.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    let extent = |width: u8, height: u8| framed(b"ispe", &[0, 0, 0, 0, 0, 0, 0, width, 0, 0, 0, height]);
    let info = |id: u8, kind: &[u8; 4]| {
        framed(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], kind.as_slice(), b"\0"].concat())
    };
    let infos = [&[0, 0, 0, 0, 0, 2][..], &info(1, b"grid"), &info(2, b"av01")].concat();
    let references = framed(b"dimg", &[0, 1, 0, 4, 0, 2, 0, 2, 0, 2, 0, 2]);
    let properties = framed(b"ipco", &[extent(100, 70), extent(tile_side, tile_side)].concat());
    let associations = framed(b"ipma", &[0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1, 1, 0, 2, 1, 2]);
    let layout = [0, 0, 1, columns - 1, 0, 100, 0, 70];
    let head = framed(b"ftyp", b"avif\0\0\0\0avifmif1");
    let meta = |at: u32| {
        // Item 1 lies in `idat`, item 2 at `at` in the file.
        let places = [
            &[1, 0, 0, 0, 0x44, 0, 0, 2][..],
            &[0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8],
            &[0, 2, 0, 0, 0, 0, 0, 1],
            &at.to_be_bytes(),
            &((tile.len() - data) as u32).to_be_bytes(),
        ];
        let members = [
            framed(b"pitm", &[0, 0, 0, 0, 0, 1]),
            framed(b"iloc", &places.concat()),
            framed(b"iinf", &infos),
            framed(b"iref", &[&[0; 4][..], &references].concat()),
            framed(b"iprp", &[properties.as_slice(), &associations].concat()),
            framed(b"idat", &layout),
        ];
        framed(b"meta", &[&[0; 4][..], &members.concat()].concat())
    };
    let at = (head.len() + meta(0).len() + 8) as u32;
    [head, meta(at), framed(b"mdat", &tile[data..])].concat()
}

#[test]
fn f23_avif_in_tiles_is_put_together_and_cut_to_its_size() {
    let limits = Limits::default();
    let tile = decode_rgb(&file("tile"), &limits).unwrap();
    let whole = decode_rgb(&grid(64, 2), &limits).unwrap();
    assert_eq!((whole.width, whole.height), (100, 70));
    for (y, row) in whole.data.chunks(300).enumerate() {
        let from = &tile.data[y % 64 * 192..][..192];
        assert_eq!((&row[..192], &row[192..]), (from, &from[..108]), "row {y}");
    }
    // Columns that do not make four tiles, tiles that leave a gap, and tiles so small that there could be any number.
    for (side, columns) in [(64, 3), (49, 2), (34, 2), (128, 2)] {
        let result = decode_rgb(&grid(side, columns), &limits);
        assert!(matches!(result, Err(PixelError::Corrupt(_))), "{side}, {columns}: {:?}", result.map(drop));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f23_mutated_avif_neither_panics_nor_lies(
        seed in prop::sample::select(&KINDS[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = file(seed);
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert_eq!(hostile::exercise(&bytes), Ok(()));
    }
}
