//! How shards end, and what stands behind or beside the end: checksums, joined tars, newer tables; and what foreign
//! tables and huge members do to the commands that show samples. Tests are named by the fault's number in the list they
//! came from.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::Int32Type;
use pairmill_shards::tar::{EndMarker, MappedTar, TarReader, TarWriter};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
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
        let (verdict, _) = run(&["verify", tar], 1);
        let finding = format!("offset {begins}: R6: the tar ends at byte {end}");
        assert!(verdict.contains(&finding), "{verdict}");
        for rule in [
            MappedTar::open(&path).unwrap_err().rule,
            TarReader::open(&path, EndMarker::Required).unwrap().find_map(Result::err).unwrap().rule,
        ] {
            assert_eq!(rule.name(), "data_after_end");
        }
        // Who asks for it gets what the first tar holds.
        let (shown, note) = run(&["cat", "--lenient", tar], 0);
        let rest = format!("skipped data behind the end of 1 tar (for example {tar}: from byte {begins} on)");
        assert!(note.contains(&rest), "{note}");
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

/// A table with this format version, or without one as other tools write it.
fn put_table(dir: &TempDir, name: &str, columns: Vec<(&str, ArrayRef)>, version: Option<&str>) -> PathBuf {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let metadata = version.map(|v| vec![KeyValue::new("pairmill.format_version".to_owned(), v.to_owned())]);
    let properties = WriterProperties::builder().set_key_value_metadata(metadata).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    put(dir, name, &writer.into_inner().unwrap())
}

/// Each value twice and a null, as pandas writes a `category`.
fn category(values: ArrayRef) -> ArrayRef {
    let keys = Int32Array::from(vec![Some(0), Some(1), Some(0), Some(1), None]);
    Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
}

#[test]
fn f22_dictionary_columns_of_foreign_parquet_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let jpeg = jpeg();
    let images: Vec<&[u8]> = vec![&jpeg; 5];
    let texts = |texts: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let bytes = |cells: Vec<&[u8]>| -> ArrayRef { Arc::new(BinaryArray::from(cells)) };
    let plain = put_table(
        &dir,
        "plain.parquet",
        vec![
            ("image", bytes(images)),
            ("text", category(texts(["a dog", "a cat"]))),
            ("cls", category(Arc::new(Int64Array::from(vec![7, 8])))),
            ("json", category(bytes(vec![b"{\"n\": 1}", b"{\"n\": 2}"]))),
            ("npy", category(bytes(vec![b"one", b"two"]))),
            ("source", category(texts(["web", "book"]))),
        ],
        None,
    );
    let out = dir.path().join("out");
    run(&["convert", utf8(&plain), utf8(&out)], 0);
    let tar = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let tar = MappedTar::open(tar.into_iter().find(|p| p.extension().is_some_and(|e| e == "tar")).unwrap());
    let tar = tar.unwrap();
    let of = |ext: &str| -> Vec<Option<String>> {
        tar.iter().map(|s| s.get(ext).map(|b| String::from_utf8(b.to_vec()).unwrap())).collect()
    };
    let twice = |one: &str, two: &str| -> Vec<Option<String>> {
        [Some(one), Some(two), Some(one), Some(two), None].map(|cell| cell.map(str::to_owned)).to_vec()
    };
    assert_eq!(of("txt"), twice("a dog", "a cat"));
    assert_eq!(of("cls"), twice("7", "8"));
    assert_eq!(of("npy"), twice("one", "two"));
    let fields =
        |at: usize| -> serde_json::Value { serde_json::from_str(of("json")[at].as_ref().unwrap()).unwrap() };
    let (first, second) = (fields(0), fields(1));
    assert_eq!((&first["n"], &first["source"]), (&1.into(), &"web".into()));
    assert_eq!((&second["n"], &second["source"]), (&2.into(), &"book".into()));

    // The images themselves, two of them for five rows.
    let path = put_table(
        &dir,
        "images.parquet",
        vec![
            ("jpg", category(bytes(vec![&jpeg, &jpeg]))),
            ("key", category(texts(["k", "l"]))),
            ("caption", category(texts(["x", "y"]))),
        ],
        None,
    );
    let (shown, _) = run(&["cat", utf8(&path), "--ext", "txt"], 0);
    assert_eq!(shown.lines().collect::<Vec<_>>(), ["x", "y", "x", "y"]);
    let (shown, _) = run(&["head", utf8(&path)], 0);
    assert!(shown.starts_with("k  "), "{shown}");
}

#[test]
fn f26_verify_of_one_tar_sees_the_newer_table_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let tar = put(&dir, "00000.tar", &tar_of(&["a"]));
    let packed = put(&dir, "00000.tar.gz", &gzip(&tar_of(&["a"])));
    let column = || vec![("key", Arc::new(StringArray::from(vec!["a"])) as ArrayRef)];
    let table = put_table(&dir, "00000.parquet", column(), Some("1"));
    run(&["verify", utf8(&tar)], 0);
    put_table(&dir, "00000.parquet", column(), Some("99"));
    for tar in [&tar, &packed] {
        let (verdict, _) = run(&["verify", utf8(tar)], 1);
        let of_table = verdict.lines().find(|line| line.contains("R25")).unwrap_or_default();
        assert!(of_table.starts_with(utf8(&table)) && of_table.contains("`99`"), "{verdict}");
        run(&["cat", utf8(tar)], 2);
    }
}

#[test]
fn f26_verify_of_one_tar_in_a_bucket_sees_the_newer_table_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let s3 = pairmill_bucket::S3::start();
    let column = vec![("key", Arc::new(StringArray::from(vec!["a"])) as ArrayRef)];
    let table = put_table(&dir, "00000.parquet", column, Some("99"));
    s3.put("set/00000.tar", &tar_of(&["a"]));
    s3.put("set/00000.parquet", &fs::read(table).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
    command.args(["verify", &s3.url("set/00000.tar")]).envs(s3.env()).stdin(Stdio::null());
    let Output { status, stdout, .. } = command.output().unwrap();
    let verdict = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(1), "{verdict}");
    assert!(verdict.starts_with(&s3.url("set/00000.parquet")) && verdict.contains("R25"), "{verdict}");
}
