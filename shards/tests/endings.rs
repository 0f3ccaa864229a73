//! How shards end, and what stands behind or beside the end: checksums, joined tars, newer tables; and what foreign
//! tables and huge members do to the commands that show samples. Tests are named by the fault's number in the list they
//! came from.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pairmill_shards::tar::{EndMarker, MappedTar, TarReader, TarWriter};
use tempfile::TempDir;

#[track_caller]
fn run(args: &[&str], code: i32) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
    let Output { status, stdout, stderr } = command.args(args).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{args:?}\n{out}\n{err}");
    (out, err)
}

fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(name)
}

fn jpeg() -> Vec<u8> {
    let tar = TarReader::open(fixture("webdataset/00000.tar"), EndMarker::Required).unwrap();
    let sample = tar.map(Result::unwrap).find(|sample| sample.image().is_some()).unwrap();
    sample.image().unwrap().data.clone()
}

/// A tar of one sample a key.
fn tar_of(keys: &[&str]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let jpeg = jpeg();
    for key in keys {
        tar.append(key, &[("jpg", &jpeg), ("txt", key.as_bytes())]).unwrap();
    }
    tar.finish().unwrap().0
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn put(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn f22_a_streamed_gzip_with_a_wrong_checksum_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let whole = gzip(&tar_of(&["a", "b"]));
    let path = put(&dir, "whole.tar.gz", &whole);
    let (all, _) = run(&["cat", utf8(&path)], 0);
    assert_eq!(all.lines().count(), 2, "{all}");
    // The trailer is a checksum of four bytes and a length of four.
    for from_end in [8, 5, 4, 1] {
        let mut bad = whole.clone();
        let at = bad.len() - from_end;
        bad[at] ^= 1;
        let path = put(&dir, "bad.tar.gz", &bad);
        for args in [&["cat"][..], &["cat", "--lenient"], &["head", "--num", "9"]] {
            let (_, error) = run(&[args, &[utf8(&path)]].concat(), 2);
            assert!(error.contains("bad.tar.gz") && error.contains("gzip"), "{args:?}: {error}");
        }
        for end_marker in [EndMarker::Required, EndMarker::Optional] {
            let error = TarReader::open(&path, end_marker).unwrap().find_map(Result::err).unwrap();
            assert_eq!(error.rule.name(), "read", "{error}");
            assert_eq!(MappedTar::open_with(&path, end_marker).unwrap_err().rule.name(), "read");
        }
    }
    // Cut inside the trailer, whose tar is whole.
    let path = put(&dir, "bad.tar.gz", &whole[..whole.len() - 3]);
    run(&["cat", utf8(&path)], 2);
}

#[test]
fn f10_a_tar_with_another_behind_it_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (tar_of(&["a", "b"]), tar_of(&["c"]));
    let joined = [one.clone(), two.clone()].concat();
    let end = MappedTar::open(put(&dir, "one.tar", &one)).unwrap().index().end();
    for (name, bytes) in [
        ("cat.tar", joined.clone()),
        ("cat.tar.gz", gzip(&joined)),
        ("members.tar.gz", [gzip(&one), gzip(&two)].concat()),
        ("junk.tar", [one.clone(), b"junk".to_vec()].concat()),
        ("late.tar", [one.clone(), vec![0; 5 << 20], two.clone()].concat()),
    ] {
        let path = put(&dir, name, &bytes);
        let begins = match name {
            "late.tar" => one.len() + (5 << 20),
            _ => one.len(),
        };
        let place = format!("at byte {begins}: the tar ends at byte {end}");
        let out = dir.path().join("out");
        let (tar, out) = (utf8(&path), utf8(&out));
        for args in [&["cat", tar][..], &["convert", tar, out], &["reshard", tar, "--out", out]] {
            let (_, error) = run(args, 2);
            assert!(error.contains(name) && error.contains(&place), "{args:?}: {error}");
            assert!(error.contains("tar -A"), "{error}");
        }
        let (verdict, _) = run(&["verify", utf8(&path)], 1);
        assert!(verdict.contains("R6") && verdict.contains(&place), "{verdict}");
        for rule in [
            MappedTar::open(&path).unwrap_err().rule,
            TarReader::open(&path, EndMarker::Required).unwrap().find_map(Result::err).unwrap().rule,
        ] {
            assert_eq!(rule.name(), "data_after_end");
        }
        // Who asks for it gets what the first tar holds.
        let (shown, _) = run(&["cat", "--lenient", utf8(&path)], 0);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert_eq!(MappedTar::open_with(&path, EndMarker::Optional).unwrap().len(), 2);
    }
}

#[test]
fn f10_zeros_of_any_length_may_follow_a_tar() {
    let dir = tempfile::tempdir().unwrap();
    let tar = tar_of(&["a"]);
    for zeros in [1, 511, 512, 70_000, 9 << 20] {
        let padded = [tar.clone(), vec![0; zeros]].concat();
        for (name, bytes) in [("z.tar", padded.clone()), ("z.tar.gz", gzip(&padded))] {
            let path = put(&dir, name, &bytes);
            assert_eq!(MappedTar::open(&path).unwrap().len(), 1);
            let samples: Result<Vec<_>, _> = TarReader::open(&path, EndMarker::Required).unwrap().collect();
            assert_eq!(samples.unwrap().len(), 1);
        }
    }
}

/// A PNG of `side` × `side` grey pixels, stored and not deflated, with `padding` bytes in a chunk that decoders pass over.
fn png(side: u32, padding: usize) -> Vec<u8> {
    let mut small = Vec::new();
    let pixels = vec![128; (side * side) as usize];
    let encoder = image::codecs::png::PngEncoder::new(&mut small);
    image::ImageEncoder::write_image(encoder, &pixels, side, side, image::ExtendedColorType::L8).unwrap();
    let end = small.len() - 12;
    let mut png = small[..end].to_vec();
    let mut chunk = b"zzZz".to_vec();
    chunk.resize(4 + padding, 1);
    png.extend((padding as u32).to_be_bytes());
    png.extend(&chunk);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    png.extend(crc.sum().to_be_bytes());
    png.extend(&small[end..]);
    png
}

/// A tar whose first sample has `image`, and whose others are hard links to it.
fn linked(dir: &TempDir, image: &[u8], links: usize) -> PathBuf {
    let path = dir.path().join("linked.tar");
    let mut tar = tar::Builder::new(fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_size(image.len() as u64);
    tar.append_data(&mut header, "0000.png", image).unwrap();
    for number in 1..=links {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        tar.append_link(&mut header, format!("{number:04}.png"), "0000.png").unwrap();
    }
    tar.into_inner().unwrap();
    path
}

/// Runs a command that may have `mib` MiB of address space; memory that it touches is less.
fn run_within(mib: u64, args: &[&str]) {
    let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", mib << 10);
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_pairmill-shards")]).args(args).stdin(Stdio::null());
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(status.success(), "{args:?}: {status}: {}", String::from_utf8_lossy(&stderr));
}

#[test]
fn f02_a_sheet_of_links_to_a_large_picture_holds_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let tar = linked(&dir, &png(64, 60 << 20), 59);
    for out in ["sheet.html", "sheet.png"] {
        let out = dir.path().join(out);
        // Sixty copies would be 3.6 GB.
        run_within(2 << 10, &["contact-sheet", utf8(&tar), "--num", "60", "--out", utf8(&out)]);
        let page = fs::read(&out).unwrap();
        assert!(page.len() < 2 << 20, "{}", page.len());
        if let Ok(page) = String::from_utf8(page) {
            assert_eq!(page.matches("<img src=\"data:image/jpeg").count(), 60);
        }
    }
}

#[test]
fn f02_an_image_that_is_too_large_for_a_sheet_has_a_placeholder() {
    let dir = tempfile::tempdir().unwrap();
    let tar = linked(&dir, &png(64, 64 << 20), 1);
    let out = dir.path().join("sheet.html");
    run(&["contact-sheet", utf8(&tar), "--out", utf8(&out)], 0);
    let page = fs::read_to_string(&out).unwrap();
    assert_eq!(page.matches("<div class=\"none\">more than 64 MiB</div>").count(), 2, "{page}");
}

#[test]
fn f02_a_sheet_keeps_the_beginning_of_a_huge_caption() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = TarWriter::new(Vec::new());
    tar.append("a", &[("jpg", &jpeg()), ("txt", &vec![b'x'; 10 << 20])]).unwrap();
    let tar = put(&dir, "long.tar", &tar.finish().unwrap().0);
    let out = dir.path().join("sheet.html");
    run(&["contact-sheet", utf8(&tar), "--out", utf8(&out)], 0);
    let page = fs::read_to_string(&out).unwrap();
    assert!(page.len() < 1 << 20 && page.contains("x…"), "{}", page.len());
}
