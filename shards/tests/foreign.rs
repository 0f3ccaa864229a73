//! Parquet of other people, Hugging Face's above all: keys that no tar can have, several columns of bytes, rows without an
//! image, columns of the user's own that are called as ours. Tests are named by the fault's number in the list they came
//! from.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use pairmill_shards::tar::{EndMarker, MappedTar, TarReader, TarWriter};
use parquet::arrow::ArrowWriter;

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

fn jpeg() -> Vec<u8> {
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset/00000.tar");
    let tar = TarReader::open(fixture, EndMarker::Required).unwrap();
    let sample = tar.map(Result::unwrap).find(|sample| sample.image().is_some()).unwrap();
    sample.image().unwrap().data.clone()
}

fn texts(cells: &[&str]) -> ArrayRef {
    Arc::new(cells.iter().map(|cell| Some(*cell)).collect::<StringArray>())
}

fn bytes(cells: &[Option<&[u8]>]) -> ArrayRef {
    Arc::new(cells.iter().copied().collect::<BinaryArray>())
}

fn write_table(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn keys(tar: &Path) -> Vec<String> {
    MappedTar::open(tar).unwrap().iter().map(|sample| sample.key().to_owned()).collect()
}

fn exts(tar: &Path) -> Vec<String> {
    let tar = MappedTar::open(tar).unwrap();
    tar.sample(0).unwrap().members().map(|(ext, _)| ext.to_owned()).collect()
}

#[test]
fn f16_rows_whose_keys_no_tar_can_have_are_skipped_by_choice() {
    let (dir, jpeg, long) = (tempfile::tempdir().unwrap(), jpeg(), "k".repeat(97));
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let image = Some(jpeg.as_slice());
    for (number, odd) in
        ["a.b", "img.jpg", "", &long, "good", "x\u{1b}[31m.y", "../up", "/root"].into_iter().enumerate()
    {
        let table = at(&format!("t{number}.parquet"));
        let columns = vec![
            ("image", bytes(&[image, image, image, image])),
            ("__key__", texts(&["good", "fine", odd, "last"])),
            ("text", texts(&["1", "2", "3", "4"])),
        ];
        write_table(Path::new(&table), columns);
        for (name, args, counts) in [
            ("convert", vec!["convert", &table], "converted 3 samples in 1 shards"),
            ("reshard", vec!["reshard", "-q", &table, "--out"], "3 of 3 samples in 1 shards"),
            ("subset", vec!["subset", "-q", &table, "--size", "9", "--out"], "3 of 3 samples in 1 shards"),
        ] {
            let out = at(&format!("{name}{number}"));
            let args = [&args[..], &[&out]].concat();
            let (_, refusal) = run(&args, 2);
            assert_eq!(refusal.trim_end().lines().count(), 1, "{refusal}");
            for part in [&*table, ": row 2: key `", "--bad-samples skip"] {
                assert!(refusal.contains(part), "{name} {odd:?}: {refusal}");
            }
            assert!(refusal.len() < 700 && !refusal.contains('\u{1b}'), "{refusal}");
            let (said, _) = run(&[&args[..], &["--bad-samples", "skip"]].concat(), 0);
            assert!(said.contains(counts), "{name} {odd:?}: {said}");
            assert!(
                said.contains("skipped 1 bad sample (for example ") && said.contains("row 2: "),
                "{said}"
            );
        }
        let made = dir.path().join(format!("convert{number}/t{number}.tar"));
        assert_eq!(keys(&made), ["good", "fine", "last"]);
    }
}

#[test]
fn f22_of_several_columns_of_bytes_the_image_and_those_that_are_named_become_members() {
    let (dir, jpeg) = (tempfile::tempdir().unwrap(), jpeg());
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (table, image) = (at("t.parquet"), Some(jpeg.as_slice()));
    let columns = vec![
        ("thumbnail", bytes(&[Some(b"small"), None])),
        ("png", bytes(&[Some(b"second"), Some(b"second")])),
        ("jpg", bytes(&[image, image])),
        ("npy", bytes(&[Some(b"3"), Some(b"4")])),
        ("Embedding", bytes(&[Some(b"1"), Some(b"2")])),
        ("txt", bytes(&[Some(b"one"), Some(b"two")])),
    ];
    write_table(Path::new(&table), columns);
    let (_, note) = run(&["convert", &table, &at("plain")], 0);
    for part in ["t.parquet", "thumbnail, png, Embedding", "--members"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(exts(Path::new(&at("plain/t.tar"))), ["jpg", "npy", "txt"]);
    let (verdict, _) = run(&["verify", &at("plain")], 0);
    assert!(verdict.contains("nothing found"), "{verdict}");

    let members = ["--members", "thumbnail,Embedding"];
    run(&[&["convert", &table, &at("named")], &members[..]].concat(), 0);
    assert_eq!(exts(Path::new(&at("named/t.tar"))), ["embedding", "jpg", "npy", "thumbnail", "txt"]);
    let reshard = ["reshard", "-q", &table, "--out", &at("reshard")];
    run(&[&reshard[..], &members].concat(), 0);
    assert_eq!(exts(Path::new(&at("reshard/00000.tar"))), ["embedding", "jpg", "npy", "thumbnail", "txt"]);
    assert!(run(&reshard, 2).1.contains("other settings"));
    let (shown, _) = run(&["cat", &table, "--ext", "thumbnail", "--members", "thumbnail"], 0);
    assert_eq!(shown, "small\n");
    let (_, refusal) = run(&["convert", &table, &at("none"), "--members", "depth"], 2);
    assert!(refusal.contains("no column of bytes `depth`; it has: thumbnail, png, jpg"), "{refusal}");
}

fn counts(args: &[&str]) -> (u64, u64, u64, u64) {
    let (json, _) = run(&[&["stat", "--json"], args].concat(), 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of = |name: &str| json[name].as_u64().unwrap();
    (of("shards"), of("rows"), of("samples_without_table"), of("rows_without_image"))
}

#[test]
fn f25_stat_counts_rows_of_other_tables_that_have_an_image() {
    let (dir, jpeg) = (tempfile::tempdir().unwrap(), jpeg());
    let (table, image) = (dir.path().join("t.parquet"), Some(jpeg.as_slice()));
    // A status of the user's own, and a key.
    let columns = vec![
        ("image", bytes(&[image, None, Some(b""), image])),
        ("text", texts(&["one", "", "", "four"])),
        ("key", texts(&["a", "b", "c", "d"])),
        ("status", texts(&["draft", "success", "draft", "draft"])),
    ];
    write_table(&table, columns);
    assert_eq!(counts(&[utf8(&table)]), (1, 0, 2, 2));
    let (account, _) = run(&["stat", utf8(&table)], 0);
    assert!(account.lines().any(|line| line.contains("without image") && line.contains(" 2 ")), "{account}");
    // The captions are those of samples.
    assert!(!account.contains("blank captions"), "{account}");
    // The same samples as other commands see.
    let (lines, _) = run(&["cat", utf8(&table)], 0);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let sheet = dir.path().join("sheet.html");
    run(&["contact-sheet", utf8(&table), "--out", utf8(&sheet)], 0);
    assert_eq!(std::fs::read_to_string(&sheet).unwrap().matches("<figure>").count(), 2);
}

#[test]
fn f25_stat_counts_a_shard_once_however_often_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset");
    for entry in std::fs::read_dir(fixture).unwrap() {
        let from = entry.unwrap().path();
        std::fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let folder = at("");
    let whole = (2, 14, 0, 0);
    let spelled_otherwise =
        format!("{folder}/../{}/00000.tar", dir.path().file_name().unwrap().to_str().unwrap());
    for named in [
        vec![&*folder],
        vec![&folder, &folder],
        vec![&at("00000.tar"), &folder],
        vec![&folder, &at("*.parquet")],
        vec![&at("*.tar"), &at("*.parquet")],
        vec![&at("00000.tar"), &at("00000.tar"), &at("00001.parquet"), &spelled_otherwise],
    ] {
        assert_eq!(counts(&named), whole, "{named:?}");
    }

    // Names that are no numbers: a tar with its table, and with a compressed copy.
    let odd = tempfile::tempdir().unwrap();
    let at = |name: &str| odd.path().join(name).to_str().unwrap().to_owned();
    for (from, to) in [("00000.tar", "a.tar"), ("00000.parquet", "a.parquet")] {
        std::fs::copy(dir.path().join(from), at(to)).unwrap();
    }
    let mut tar = TarWriter::new(File::create(at("b.tar")).unwrap());
    tar.append("b", &[("jpg", b"x")]).unwrap();
    tar.finish().unwrap();
    let packed = File::create(at("b.tar.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    std::io::copy(&mut File::open(at("b.tar")).unwrap(), &mut packed).unwrap();
    packed.finish().unwrap();
    assert_eq!(counts(&[&at("a.*")]), (1, 10, 0, 0));
    assert_eq!(counts(&[&at("b.tar"), &at("b.tar.gz")]), (1, 0, 1, 0));
    let here = counts(&[&at("")]);
    assert_eq!(counts(&[&at("a.tar"), &at("b.tar.gz"), &at("")]), here);
    assert_eq!(here.0, 2);
}
