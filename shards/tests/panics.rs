//! A picture that makes its decoder panic costs no command more than that picture.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy knows only functions marked as tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::codecs::jpeg::JpegEncoder;
use pairmill_shards::tar::TarWriter;

/// A TIFF of 24×24 pixels in three planes of four tiles, which makes tiff 0.11 panic.
fn planar_tiled_tiff() -> Vec<u8> {
    let mut out = b"II*\0\x08\x0C\0\0".to_vec();
    out.extend([90; 12 * 256]);
    let lists = out.len() as u32;
    (0..12_u32).for_each(|tile| out.extend((8 + tile * 256).to_le_bytes()));
    (0..12).for_each(|_| out.extend(256_u32.to_le_bytes()));
    (0..3).for_each(|_| out.extend(8_u32.to_le_bytes()));
    let directory = out.len() as u32;
    out[4..8].copy_from_slice(&directory.to_le_bytes());
    let tags: [(u16, u32, u32); 11] = [
        (256, 1, 24),
        (257, 1, 24),
        (258, 3, lists + 96),
        (259, 1, 1),
        (262, 1, 2),
        (277, 1, 3),
        (284, 1, 2),
        (322, 1, 16),
        (323, 1, 16),
        (324, 12, lists),
        (325, 12, lists + 48),
    ];
    out.extend((tags.len() as u16).to_le_bytes());
    for (tag, count, value) in tags {
        out.extend(tag.to_le_bytes());
        out.extend(4_u16.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend([0; 4]);
    out
}

fn jpeg() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(80, 60, |x, y| image::Rgb([x as u8 * 3, y as u8 * 4, 90]));
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 90).encode_image(&picture).unwrap();
    out
}

/// A tar of a whole picture and one on which its decoder panics, both by a JPEG's name.
fn tar(folder: &Path) -> PathBuf {
    let path = folder.join("00000.tar");
    let mut tar = TarWriter::new(fs::File::create(&path).unwrap());
    for (key, image) in [("000000000", jpeg()), ("000000001", planar_tiled_tiff()), ("000000002", jpeg())] {
        tar.append(key, &[("jpg", &image), ("txt", b"a caption")]).unwrap();
    }
    tar.finish().unwrap();
    path
}

/// Standard output of a command that ends well and says nothing of a panic.
fn run(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pairmill-shards")).args(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("panicked"), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn f01_a_picture_whose_decoder_panics_is_not_decodable_on_a_contact_sheet() {
    let dir = tempfile::tempdir().unwrap();
    let tar = tar(dir.path());
    for page in ["sheet.html", "sheet.png"] {
        let page = dir.path().join(page);
        run(&["contact-sheet", tar.to_str().unwrap(), "--out", page.to_str().unwrap()]);
        let bytes = fs::read(&page).unwrap();
        match page.extension().is_some_and(|ext| ext == "html") {
            true => assert_eq!(String::from_utf8(bytes).unwrap().matches("not decodable").count(), 1),
            false => assert!(bytes.starts_with(b"\x89PNG")),
        }
    }
}

#[test]
fn f01_the_near_duplicate_rule_keeps_a_picture_whose_decoder_panics() {
    let dir = tempfile::tempdir().unwrap();
    let tar = tar(dir.path());
    let out = dir.path().join("once");
    run(&[
        "subset",
        tar.to_str().unwrap(),
        "--drop-duplicate-images",
        "near",
        "--out",
        out.to_str().unwrap(),
    ]);
    let dropped = fs::read_to_string(out.join("_pairmill/duplicates.tsv")).unwrap();
    let keys: Vec<&str> = dropped.lines().skip(1).filter_map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(keys, ["000000002"]);
    let card = fs::read_to_string(out.join("_pairmill/card.json")).unwrap();
    assert!(card.contains("\"unreadable\": 1") || card.contains("\"unreadable\":1"), "{card}");
}

#[test]
fn f01_verify_reads_no_more_than_the_header_of_such_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let tar = tar(dir.path());
    let output = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"))
        .args(["verify", "--images", tar.to_str().unwrap()])
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Its name says JPEG, which is what is wrong with it.
    assert!(said.contains("the image is TIFF, its name says JPEG") && !said.contains("panicked"), "{said}");
}
