//! Samples that a command would leave out or overwrite without a word: shards of one name, and folders that lack shards
//! or parts of them; and what their messages advise. Tests are named by the fault's number in the list they came from.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use pairmill_shards::table::{SidecarReader, VERSION_KEY};
use pairmill_shards::tar::TarWriter;
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

/// The one line that bad input gives.
#[track_caller]
fn refusal(args: &[&str]) -> String {
    let (_, message) = run(args, 2);
    assert_eq!(message.trim_end().lines().count(), 1, "{args:?}: {message}");
    message
}

fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A copy of img2dataset's two shards, `webdataset` or `parquet`, seven samples of fourteen rows.
fn dataset(output: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(output);
    for entry in fs::read_dir(fixture).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    dir
}

fn write_tar(path: &Path, keys: &[&str]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut tar = TarWriter::new(File::create(path).unwrap());
    for key in keys {
        tar.append(key, &[("jpg", &[1; 40]), ("txt", key.as_bytes())]).unwrap();
    }
    tar.finish().unwrap();
}

#[test]
fn f10_two_inputs_of_one_name_are_not_converted_into_one_shard() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    write_tar(Path::new(&at("x/00000.tar")), &["a"]);
    write_tar(Path::new(&at("y/00000.tar")), &["b"]);
    write_tar(Path::new(&at("y/00001.tar")), &["c"]);
    let packed = File::create(at("x/00000.tar.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    std::io::copy(&mut File::open(at("x/00000.tar")).unwrap(), &mut packed).unwrap();
    packed.finish().unwrap();

    let out = at("out");
    for (one, other) in [("x/00000.tar", "y/00000.tar"), ("x/00000.tar", "x/00000.tar.gz")] {
        let input = format!("{}::{}::{}", at(one), at("y/00001.tar"), at(other));
        let message = refusal(&["convert", "--overwrite", &input, &out]);
        for part in [&*at(one), &at(other), "both become shard `00000`", "reshard"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!Path::new(&out).exists(), "something was written: {message}");
    }
    let message = refusal(&["convert", &format!("{0}::{0}", at("y/00001.tar")), &out]);
    assert!(message.contains("shard `00001`"), "{message}");
    // A folder that has a shard plain and compressed has it once.
    let (said, _) = run(&["convert", &at("x"), &out], 0);
    assert!(said.contains("converted 1 samples in 1 shards"), "{said}");
    let (said, _) = run(&["convert", "--overwrite", &at("y"), &out], 0);
    assert!(said.contains("converted 2 samples in 2 shards"), "{said}");
}

fn sheet(dir: &Path) -> String {
    dir.join("sheet.html").to_str().unwrap().to_owned()
}

/// What each command says that writes: the same refusal of all of them, and nothing written.
#[track_caller]
fn refusals(set: &Path, elsewhere: &Path) -> String {
    let (set, out) = (utf8(set), elsewhere.join("out"));
    let index =
        |name: &str| fs::read_dir(set).unwrap().any(|e| e.unwrap().file_name().to_str() == Some(name));
    let messages: Vec<String> = [
        &["reshard", set, "--out", utf8(&out)][..],
        &["subset", set, "--size", "3", "--out", utf8(&out)],
        &["convert", set, utf8(&out)],
        &["index", set],
    ]
    .into_iter()
    .map(refusal)
    .collect();
    assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
    assert!(!out.exists() && !index("sizes.json") && !index("00000.idx"), "{messages:?}");
    let message = &messages[0];
    assert!(message.contains(set) && message.contains("--incomplete"), "{message}");
    // Commands that only look at it say so and go on.
    let problem = message.strip_prefix("error: ").unwrap().split(';').next().unwrap();
    for args in [
        &["head", "-n", "1", set][..],
        &["cat", set],
        &["cat", set, "--ext", "txt"],
        &["contact-sheet", set, "--num", "2", "--out", &sheet(elsewhere)],
    ] {
        let (said, warning) = run(args, 0);
        assert!(!said.is_empty(), "{args:?}");
        assert_eq!(warning.trim_end().lines().count(), 1, "{args:?}: {warning}");
        assert!(warning.starts_with("warning: ") && warning.contains(problem), "{args:?}: {warning}");
    }
    message.clone()
}

fn note(set: &Path, name: &str, text: &str) {
    let runs = set.join("_pairmill/runs");
    fs::create_dir_all(&runs).unwrap();
    fs::write(runs.join(name), text).unwrap();
}

fn json(set: &Path) -> serde_json::Value {
    serde_json::from_str(&run(&["stat", utf8(set), "--json"], 0).0).unwrap()
}

#[test]
fn f13_a_folder_without_a_shard_that_its_run_made_is_not_taken_for_the_whole() {
    let (set, elsewhere) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    note(set.path(), "00000.toml", "");
    note(set.path(), "00000.done", "shards = 4\n");
    let message = refusals(set.path(), elsewhere.path());
    for part in ["shard 00002 is missing: the run from shard 00000 made 4", "run the same ingest again"] {
        assert!(message.contains(part), "{message}");
    }
    // An unfinished run promises nothing yet.
    fs::remove_file(set.path().join("_pairmill/runs/00000.done")).unwrap();
    let out = elsewhere.path().join("out");
    let (said, warnings) = run(&["reshard", "-q", utf8(set.path()), "--out", utf8(&out)], 0);
    assert!(said.contains("7 of 7 samples") && warnings.is_empty(), "{said}{warnings}");
}

#[test]
fn f13_finished_shards_without_their_tar_are_missed() {
    let (set, elsewhere) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    assert_eq!(json(set.path())["shards_without_images"], 0);
    fs::remove_file(set.path().join("00001.tar")).unwrap();
    let message = refusals(set.path(), elsewhere.path());
    for part in [
        "shard 00001 is finished, but has neither a tar nor images",
        "delete its stats and run the ingest again",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(json(set.path())["shards_without_images"], 1);
    let (account, _) = run(&["stat", utf8(set.path())], 0);
    let line = account.lines().find(|line| line.contains("without images")).unwrap();
    assert!(line.contains(" 1 ") && line.contains("verify"), "{line}");

    // What is there is taken by choice, or where it is named.
    let at = |name: &str| elsewhere.path().join(name).to_str().unwrap().to_owned();
    let (folder, pattern) = (utf8(set.path()), utf8(set.path()).to_owned() + "/{00000..00000}.tar");
    let of = |args: &[&str]| run(args, 0).0;
    let chosen = of(&["reshard", "-q", folder, "--incomplete", "--out", &at("a")]);
    assert_eq!(of(&["reshard", "-q", &pattern, "--out", &at("b")]), chosen);
    assert!(
        of(&["subset", "-q", folder, "--incomplete", "--size", "1", "--out", &at("c")]).contains("1 of ")
    );
    let converted = of(&["convert", folder, &at("d"), "--incomplete"]);
    assert!(converted.contains("in 1 shards"), "{converted}");
    assert_eq!(of(&["convert", &(folder.to_owned() + "/*.tar"), &at("e")]), converted);
    assert!(of(&["index", folder, "--incomplete"]).contains("in 1 tars"));
}

#[test]
fn f13_a_compressed_tar_is_its_shards_tar() {
    let (set, elsewhere) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    let tar = set.path().join("00001.tar");
    let packed = File::create(set.path().join("00001.tar.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    std::io::copy(&mut File::open(&tar).unwrap(), &mut packed).unwrap();
    packed.finish().unwrap();
    fs::remove_file(tar).unwrap();
    assert_eq!(json(set.path())["shards_without_images"], 0);
    let out = elsewhere.path().join("out");
    assert!(run(&["reshard", "-q", utf8(set.path()), "--out", utf8(&out)], 0).0.contains("7 of 7 samples"));
}

#[test]
fn f13_a_tar_without_stats_is_not_taken_for_a_finished_shard() {
    let (set, elsewhere) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    fs::remove_file(set.path().join("00001_stats.json")).unwrap();
    let message = refusals(set.path(), elsewhere.path());
    for part in ["shard 00001 has no stats", "run the same ingest again to finish it"] {
        assert!(message.contains(part), "{message}");
    }
    // A run that has finished none of its shards.
    fs::remove_file(set.path().join("00000_stats.json")).unwrap();
    let out = elsewhere.path().join("out");
    let reshard = ["reshard", "-q", utf8(set.path()), "--out", utf8(&out)];
    note(set.path(), "00000.toml", "");
    assert!(refusal(&reshard).contains("shard 00000 has no stats"));
    // Tars of other people have none at all.
    fs::remove_dir_all(set.path().join("_pairmill")).unwrap();
    assert!(run(&reshard, 0).0.contains("7 of 7 samples"));
    let (_, warnings) = run(&["head", utf8(set.path())], 0);
    assert_eq!(warnings, "");
}

#[test]
fn f13_parquet_sets_are_held_to_the_same() {
    let (set, elsewhere) = (dataset("parquet"), tempfile::tempdir().unwrap());
    assert_eq!(json(set.path())["shards_without_images"], 0);
    let out = elsewhere.path().join("out");
    let reshard = ["reshard", "-q", utf8(set.path()), "--out", utf8(&out)];
    // A sidecar in the place of an image shard.
    let sidecar = dataset("webdataset");
    fs::copy(sidecar.path().join("00001.parquet"), set.path().join("00001.parquet")).unwrap();
    assert!(
        refusal(&reshard).contains("shard 00001 is finished, but has neither a tar nor images in its table")
    );
    assert_eq!(json(set.path())["shards_without_images"], 1);
    // With its tar, only that would be read.
    fs::copy(sidecar.path().join("00001.tar"), set.path().join("00001.tar")).unwrap();
    assert!(refusal(&reshard).contains("shard 00000 is Parquet, and only the tars are read"));
    assert_eq!(json(set.path())["shards_without_images"], 0);
    fs::remove_file(set.path().join("00001.tar")).unwrap();
    fs::remove_file(set.path().join("00001.parquet")).unwrap();
    assert!(refusal(&reshard).contains("shard 00001 is finished, but has neither"));
    assert!(!out.exists());
}

#[test]
fn f13_a_rewritten_folder_is_finished_by_the_command_that_began_it() {
    let (set, elsewhere) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    let (half, out) = (elsewhere.path().join("half"), elsewhere.path().join("out"));
    run(&["reshard", "-q", utf8(set.path()), "--number-sample-per-shard", "3", "--out", utf8(&half)], 0);
    fs::remove_file(half.join("00001_stats.json")).unwrap();
    let message = refusal(&["convert", utf8(&half), utf8(&out)]);
    assert!(message.contains("shard 00001 has no stats"), "{message}");
    assert!(message.contains("give the same subset or reshard again to finish it"), "{message}");
}

#[test]
fn f10_f16_the_remedies_of_torn_tars_are_options_that_exist() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let torn: &[(&[u8], &[u8])] = &[(b"a.jpg", b"1"), (b"b.jpg", b"2"), (b"a.txt", b"3"), (b"b.txt", b"4")];
    let name: &[(&[u8], &[u8])] = &[(b"a.jpg", b"1"), (b"caf\xe9.jpg", b"2")];
    for (file, members) in [("torn.tar", torn), ("name.tar", name)] {
        let mut tar = tar::Builder::new(File::create(at(file)).unwrap());
        for (name, data) in members {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
            header.set_size(data.len() as u64);
            header.set_cksum();
            tar.append(&header, *data).unwrap();
        }
        tar.finish().unwrap();
    }
    let mut dangling: tar::Header = tar::Header::new_gnu();
    dangling.set_entry_type(tar::EntryType::Symlink);
    dangling.set_path("a.jpg").unwrap();
    dangling.set_link_name("nowhere.jpg").unwrap();
    dangling.set_size(0);
    dangling.set_cksum();
    let mut tar = tar::Builder::new(File::create(at("link.tar")).unwrap());
    tar.append(&dangling, &[][..]).unwrap();
    tar.finish().unwrap();
    write_tar(Path::new(&at("cut.tar")), &["a"]);
    let whole = fs::read(at("cut.tar")).unwrap();
    let end = whole.chunks(512).rposition(|block| block.iter().any(|byte| *byte != 0)).unwrap() + 1;
    fs::write(at("cut.tar"), &whole[..end * 512]).unwrap();

    for (file, remedy) in [
        ("torn.tar", &["--unsorted", "join"][..]),
        ("name.tar", &["--bad-samples", "skip"]),
        ("link.tar", &["--bad-samples", "skip"]),
        ("cut.tar", &["--lenient"]),
    ] {
        let input = at(file);
        let message = refusal(&["cat", &input]);
        assert!(message.contains(&format!("`{}`", remedy.join(" "))), "{file}: {message}");
        run(&[&["cat", &*input], remedy].concat(), 0);
    }
}

/// The table at `from` with other bytes in the middle of its data, and with a format version if that is given.
fn damaged(from: &Path, to: &Path, version: Option<&str>) {
    let reader = SidecarReader::open(from).unwrap();
    let entry = version.map(|version| vec![KeyValue::new(VERSION_KEY.to_owned(), version.to_owned())]);
    let properties = WriterProperties::builder().set_key_value_metadata(entry).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(reader.schema()), Some(properties)).unwrap();
    for batch in reader.batches(None).unwrap() {
        writer.write(&batch.unwrap()).unwrap();
    }
    let mut bytes = writer.into_inner().unwrap();
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let end_of_data = bytes.len() - 8 - footer;
    bytes[4..end_of_data].fill(0xff);
    fs::write(to, bytes).unwrap();
}

#[test]
fn f25_damage_in_other_peoples_parquet_is_not_mended_by_a_run_of_ours() {
    let (set, dir) = (dataset("parquet"), tempfile::tempdir().unwrap());
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let table = set.path().join("00000.parquet");
    let (rebuild, fetch) = ("delete the shard's files and run again", "fetch it again");
    damaged(&table, Path::new(&at("ours.parquet")), Some("1"));
    damaged(&table, Path::new(&at("theirs.parquet")), None);
    let whole = fs::read(&table).unwrap();
    fs::write(at("cut.parquet"), &whole[..whole.len() - 40]).unwrap();
    for (name, says, says_not) in [
        ("ours.parquet", rebuild, fetch),
        ("theirs.parquet", fetch, rebuild),
        // Nobody knows whose it is.
        ("cut.parquet", fetch, rebuild),
    ] {
        for args in [&["cat", &*at(name)][..], &["convert", &at(name), &at("out")]] {
            let message = refusal(args);
            assert!(message.contains(name) && message.contains(says), "{args:?}: {message}");
            assert!(!message.contains(says_not), "{args:?}: {message}");
        }
    }
    // But in the folder of our runs it is ours.
    note(dir.path(), "00000.toml", "");
    let message = refusal(&["cat", &at("cut.parquet")]);
    assert!(message.contains(rebuild) && !message.contains(fetch), "{message}");
}
