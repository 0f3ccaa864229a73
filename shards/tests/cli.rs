//! The `pairmill-shards` command as its users meet it: what it prints, what it writes, how it refuses.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use pairmill_shards::key::{KeyLayout, ShardId};
use pairmill_shards::sample::Sample;
use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::{
    HashKind, ImageSize, RowOutcome, SidecarOptions, SidecarSchema, SidecarWriter, sample_json,
};
use pairmill_shards::tar::{EndMarker, MappedTar, TarReader, TarWriter};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that bad input gives, with exit code 2.
fn refusal(args: &[&str]) -> String {
    let output = run(args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    assert!(message.starts_with("error: ") && message.trim_end().lines().count() == 1, "{args:?}: {message}");
    message
}

fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

type Members<'a> = &'a [(&'a str, &'a [u8])];

fn write_tar(path: &Path, samples: &[(&str, Members<'_>)]) {
    let mut tar = TarWriter::new(fs::File::create(path).unwrap());
    for (key, members) in samples {
        tar.append(key, members).unwrap();
    }
    tar.finish().unwrap();
}

fn samples(path: &Path) -> Vec<Sample> {
    TarReader::open(path, EndMarker::Required).unwrap().collect::<Result<_, _>>().unwrap()
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn cat_gives_json_lines_or_raw_members() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("00000.tar"), dir.path().join("00001.tar"));
    write_tar(&first, &[("000", &[("jpg", b"\xff\0raw"), ("txt", b"one"), ("json", b"{\"n\": NaN}")])]);
    write_tar(&second, &[("010", &[("jpg", b"x"), ("txt", "zwölf".as_bytes())])]);
    let folder = utf8(dir.path());

    let lines: Vec<serde_json::Value> =
        text(&["cat", folder]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["members"], serde_json::json!({"jpg": 5, "json": 10, "txt": 3}));
    assert_eq!(lines[0]["metadata"], serde_json::json!({"n": null}));
    assert_eq!((&lines[1]["key"], &lines[1]["caption"]), (&"010".into(), &"zwölf".into()));

    assert_eq!(text(&["cat", folder, "--ext", ".TXT"]), "one\nzwölf\n");
    assert_eq!(run(&["cat", folder, "--key", "000", "--ext", "jpg"]).stdout, b"\xff\0raw");
    assert!(refusal(&["cat", folder, "--key", "011"]).contains("no sample 011"));
    assert!(refusal(&["cat", folder, "--key", "010", "--ext", "json"]).contains("it has jpg, txt"));
    assert!(refusal(&["cat", folder, "--ext", "webp"]).contains(".webp"));
}

#[test]
fn head_shows_samples_and_no_control_characters() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000.tar");
    write_tar(
        &path,
        &[
            (
                "000",
                &[("jpg", b"no image"), ("txt", b"red\x1b[2Jball"), ("json", b"{\"url\": \"http://u\"}")],
            ),
            ("001", &[("txt", b"not shown")]),
        ],
    );
    let shown = text(&["head", "-n", "1", utf8(&path)]);
    assert!(shown.contains("red\\u{1b}[2Jball") && shown.contains("http://u"), "{shown}");
    assert!(!shown.contains('\x1b') && !shown.contains("not shown"), "{shown}");

    let shown = text(&["head", utf8(&fixture("img2dataset-1.47/webdataset/00001.tar"))]);
    assert!(shown.contains("000013") && shown.contains(" × ") && shown.contains("original_width"), "{shown}");
}

#[test]
fn index_serves_anyones_tars() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["webdataset.tar", "gnu_long_names.tar", "v7.tar"] {
        fs::copy(fixture("tar").join(name), dir.path().join(name)).unwrap();
    }
    let counts = || -> BTreeMap<String, u64> {
        serde_json::from_slice(&fs::read(dir.path().join("sizes.json")).unwrap()).unwrap()
    };
    assert_eq!(text(&["index", utf8(dir.path())]), "indexed 7 samples in 3 tars\n");
    assert_eq!(counts().into_values().collect::<Vec<_>>(), [3, 1, 3]);
    for name in ["webdataset.idx", "webdataset.tar.idx", "v7.idx", "gnu_long_names.tar.idx"] {
        assert!(dir.path().join(name).is_file(), "{name}");
    }

    // A tar that has gone is no longer counted, one that was not named keeps its count.
    fs::remove_file(dir.path().join("v7.tar")).unwrap();
    text(&["index", "--sizes", utf8(&dir.path().join("webdataset.tar"))]);
    assert_eq!(counts().into_keys().collect::<Vec<_>>(), ["gnu_long_names.tar", "webdataset.tar"]);

    write_tar(&dir.path().join("blank.tar"), &[("a b", &[("jpg", b"x")])]);
    let blank = dir.path().join("blank.tar");
    assert!(refusal(&["index", "--dali", utf8(&blank)]).contains("has a blank"));
    let output = run(&["index", utf8(&blank)]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).starts_with("warning: "));
    assert!(dir.path().join("blank.tar.idx").is_file() && !dir.path().join("blank.idx").exists());
}

#[test]
fn bad_input_is_one_line_naming_file_and_fix() {
    let dir = tempfile::tempdir().unwrap();
    let folder = utf8(dir.path());
    assert!(refusal(&["head", folder]).contains("holds no .tar"));
    assert!(refusal(&["head", &format!("{folder}/{{0..3}}.tar")]).contains("0.tar"));
    let cut = dir.path().join("cut.tar");
    fs::write(&cut, &fs::read(fixture("tar/webdataset.tar")).unwrap()[..6_000]).unwrap();
    let message = refusal(&["cat", utf8(&cut)]);
    assert!(message.contains("cut.tar: at byte ") && message.contains("cut off"), "{message}");
    assert!(refusal(&["convert", utf8(&cut), folder]).contains("own folder"));
    assert!(refusal(&["convert", folder, utf8(&cut)]).contains("cut.tar"));
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000.tar");
    let big = vec![b'x'; 1 << 20];
    write_tar(&path, &[("0", &[("txt", &big)]), ("1", &[("txt", &big)])]);
    let mut child = command(&["cat", utf8(&path), "--ext", "txt"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [0];
    child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&["completions", shell]).contains("convert"), "{shell}");
    }
}

/// A shard as ingest writes it: sidecar and tar, and the Parquet image shard of the same rows.
fn write_shard(tar: &Path, image_shard: &Path, image_as_struct: bool) {
    const ROWS: usize = 250;
    let reader_fields: Fields = vec![
        Field::new("n", DataType::Int64, true),
        Field::new("caption", DataType::Utf8, true),
        Field::new("sha256", DataType::Utf8, true),
        Field::new("url", DataType::Utf8, true),
    ]
    .into();
    let options = SidecarOptions { exif: true, hash: Some(HashKind::Sha256), ..SidecarOptions::default() };
    let with_images = SidecarOptions { image: Some("jpg".to_owned()), image_as_struct, ..options.clone() };
    let schema = SidecarSchema::new(&reader_fields, options).unwrap();
    let image_schema = SidecarSchema::new(&reader_fields, with_images).unwrap();
    let layout = KeyLayout::new(10_000, 5).unwrap();
    let captions = || (0..ROWS).map(|n| (n % 5 != 0).then(|| format!("größe {n}")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..ROWS).map(|n| (n % 3 != 0).then_some(n as i64)).collect::<Int64Array>()),
        Arc::new(captions().collect::<StringArray>()),
        Arc::new((0..ROWS).map(|n| Some(format!("promised {n}"))).collect::<StringArray>()),
        Arc::new((0..ROWS).map(|n| Some(format!("http://host.invalid/{n}"))).collect::<StringArray>()),
    ];
    let rows = RecordBatch::try_new(Arc::new(Schema::new(reader_fields)), columns).unwrap();
    let outcomes: Vec<RowOutcome> = (0..ROWS)
        .map(|n| RowOutcome {
            key: layout.key(ShardId(0), n as u64),
            result: match n % 7 {
                0 => Err(Failure::new(FailureClass::Timeout, "timed out")),
                _ => Ok(ImageSize {
                    width: Some(n as u32),
                    height: Some(1),
                    original_width: Some(9),
                    original_height: Some(8),
                }),
            },
            exif: (n % 7 != 0).then(|| "{}".to_owned()),
            hash: (n % 7 != 0).then(|| format!("{n:064x}")),
            final_url: None,
            attempts: 1,
            retry_of: None,
        })
        .collect();
    let images: Vec<Option<Vec<u8>>> =
        (0..ROWS).map(|n| (n % 7 != 0).then(|| vec![n as u8; n * 3])).collect();

    let mut out = TarWriter::new(fs::File::create(tar).unwrap());
    for (row, ((outcome, image), caption)) in outcomes.iter().zip(&images).zip(captions()).enumerate() {
        if let Some(image) = image {
            let json = sample_json(&rows, row, outcome, &schema);
            let caption = caption.unwrap_or_default();
            let members: [(&str, &[u8]); 3] =
                [("jpg", image), ("txt", caption.as_bytes()), ("json", json.as_bytes())];
            out.append(outcome.key.as_str(), &members).unwrap();
        }
    }
    out.finish().unwrap();
    let mut sidecar = SidecarWriter::new(Vec::new(), &schema).unwrap();
    sidecar.write(&rows, &outcomes, None).unwrap();
    fs::write(tar.with_extension("parquet"), sidecar.finish().unwrap()).unwrap();
    let mut shard = SidecarWriter::new(Vec::new(), &image_schema).unwrap();
    shard.write(&rows, &outcomes, Some(&images)).unwrap();
    fs::write(image_shard, shard.finish().unwrap()).unwrap();
    fs::write(tar.with_file_name("00000_stats.json"), "{}").unwrap();
}

#[test]
fn parquet_image_shards_show_what_the_tar_shows() {
    for image_as_struct in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let [tars, images] = ["tars", "images"].map(|name| dir.path().join(name));
        fs::create_dir(&tars).unwrap();
        fs::create_dir(&images).unwrap();
        let (tar, parquet) = (tars.join("00000.tar"), images.join("00000.parquet"));
        write_shard(&tar, &parquet, image_as_struct);
        let shown = |args: &[&str], folder: &Path| {
            let args: Vec<&str> = args.iter().copied().chain([utf8(folder)]).collect();
            text(&args).replace(utf8(&tar), "SHARD").replace(utf8(&parquet), "SHARD")
        };
        for args in
            [&["cat"][..], &["cat", "--ext", "txt"], &["head", "-n", "3"], &["cat", "--key", "000000009"]]
        {
            assert_eq!(shown(args, &images), shown(args, &tars), "{args:?}");
        }
        assert_eq!(run(&["cat", utf8(&images), "--key", "000000009", "--ext", "jpg"]).stdout, [9; 27]);
        assert!(refusal(&["cat", utf8(&images), "--key", "000000007"]).contains("no sample 000000007"));
        // A sidecar has no images to show.
        assert!(refusal(&["cat", utf8(&tar.with_extension("parquet"))]).contains("no column of images"));
    }
}

#[test]
fn conversion_gives_the_bytes_ingest_would_have_written() {
    for image_as_struct in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let [tars, parquet, back] = ["tars", "parquet", "back"].map(|name| dir.path().join(name));
        fs::create_dir(&tars).unwrap();
        let reference = dir.path().join("reference.parquet");
        write_shard(&tars.join("00000.tar"), &reference, image_as_struct);

        let mut args = vec!["convert", utf8(&tars), utf8(&parquet)];
        args.extend(image_as_struct.then_some("--hf-images"));
        assert_eq!(text(&args), "converted 214 samples in 1 shards\n");
        let same = |a: &Path, b: &Path| {
            assert!(
                fs::read(a).unwrap() == fs::read(b).unwrap(),
                "{} and {} differ",
                a.display(),
                b.display()
            );
        };
        same(&parquet.join("00000.parquet"), &reference);
        assert_eq!(text(&args), "nothing to do: 1 of 1 shards are there\n");

        text(&["convert", utf8(&parquet), utf8(&back)]);
        for name in ["00000.tar", "00000.parquet", "00000_stats.json"] {
            same(&tars.join(name), &back.join(name));
        }
    }
}

#[test]
fn img2datasets_shards_survive_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let (parquet, back) = (dir.path().join("parquet"), dir.path().join("back"));
    let tars = fixture("img2dataset-1.47/webdataset");
    text(&["convert", utf8(&tars), utf8(&parquet)]);
    text(&["convert", utf8(&parquet), utf8(&back)]);
    for name in ["00000.tar", "00001.tar"] {
        let by_key = |path: PathBuf| -> BTreeMap<String, Sample> {
            samples(&path).into_iter().map(|s| (s.key.clone(), s)).collect()
        };
        assert_eq!(by_key(tars.join(name)), by_key(back.join(name)), "{name}");
    }
    // img2dataset's own Parquet image shards become tars too.
    let own = dir.path().join("own");
    text(&["convert", utf8(&fixture("img2dataset-1.47/parquet")), utf8(&own)]);
    assert_eq!(MappedTar::open(own.join("00000.tar")).unwrap().len(), 6);
}

#[test]
fn a_tar_without_a_table_survives_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let [tars, parquet, back] = ["tars", "parquet", "back"].map(|name| dir.path().join(name));
    fs::create_dir(&tars).unwrap();
    let path = tars.join("any.tar");
    write_tar(
        &path,
        &[
            ("d/a", &[("jpg", b"1"), ("txt", b""), ("seg.png", b"mask"), ("json", b"{ }")]),
            ("d/b", &[("png", b"2")]),
            ("d/c", &[("cls", b"7")]),
        ],
    );
    assert!(refusal(&["convert", utf8(&path), utf8(&parquet)]).contains("--hf-images"));
    text(&["convert", utf8(&path), utf8(&parquet), "--hf-images"]);
    text(&["convert", utf8(&parquet.join("any.parquet")), utf8(&back)]);
    assert!(fs::read(back.join("any.tar")).unwrap() == fs::read(&path).unwrap());
    assert!(!back.join("any.parquet").exists());
}

#[test]
fn a_tar_and_table_that_disagree_are_not_converted() {
    let dir = tempfile::tempdir().unwrap();
    let tars = dir.path().join("tars");
    fs::create_dir(&tars).unwrap();
    write_shard(&tars.join("00000.tar"), &dir.path().join("x.parquet"), false);
    write_tar(&tars.join("00000.tar"), &[("000000001", &[("jpg", b"1")])]);
    let out = dir.path().join("out");
    let message = refusal(&["convert", utf8(&tars), utf8(&out)]);
    assert!(message.contains("000000002") && message.contains("is not in"), "{message}");
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["_pairmill"], "something half-written was left");
}
