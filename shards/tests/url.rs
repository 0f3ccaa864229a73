//! The commands by URL say and write what they say and write of the same files on disk.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pairmill_bucket::{Fault, S3};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset")
}

fn run(s3: &S3, temp: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.envs(s3.env()).env("TMPDIR", temp).args(args).output().unwrap()
}

/// The fixture under `set/`, and the URL and path of it.
fn served() -> (S3, String, String) {
    let s3 = S3::start();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() {
            s3.put(&format!("set/{name}"), &fs::read(&path).unwrap());
        }
    }
    let url = s3.url("set");
    (s3, url, fixture().to_str().unwrap().to_owned())
}

#[test]
fn commands_by_url_say_what_they_say_of_files() {
    let (s3, url, folder) = served();
    let temp = tempfile::tempdir().unwrap();
    s3.fail(|asked| (asked.number % 4 == 0).then_some(Fault::Status(503)));
    for arguments in [
        vec!["stat", "@"],
        vec!["stat", "@", "--json"],
        vec!["verify", "@"],
        vec!["verify", "@", "--images", "--against", "open-clip", "--against", "webdataset"],
        vec!["verify", "@/00000.tar", "--against", "hf"],
        vec!["head", "-n", "3", "@"],
        vec!["head", "@/{00000..00001}.tar"],
        vec!["cat", "@"],
        vec!["cat", "@", "--ext", "txt"],
    ] {
        let at = |place: &str| arguments.iter().map(|word| word.replace('@', place)).collect::<Vec<_>>();
        let (by_url, by_path) = (at(&url), at(&folder));
        let words = |all: &[String]| all.iter().map(|word| word.as_str().to_owned()).collect::<Vec<_>>();
        let ask = |all: &[String]| {
            let words = words(all);
            run(&s3, temp.path(), &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let (remote, local) = (ask(&by_url), ask(&by_path));
        let text = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(text(&remote), text(&local).replace(&folder, &url), "{by_url:?}: {}", err(&remote));
        assert_eq!(remote.status.code(), local.status.code(), "{by_url:?}");
        assert!(!text(&remote).is_empty());
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "left in the folder for temporary files");
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn damage_and_absence_are_named_by_url() {
    let (s3, url, _) = served();
    let temp = tempfile::tempdir().unwrap();
    let tar = s3.objects("set")["00000.tar"].clone();
    s3.put("set/00000.tar", &tar[..tar.len() / 2]);
    let verify = run(&s3, temp.path(), &["verify", &url]);
    let text = String::from_utf8(verify.stdout).unwrap();
    assert!(
        verify.status.code() == Some(1) && text.starts_with(&format!("{url}/00000.tar: offset ")),
        "{text}"
    );
    for (arguments, words) in [
        (vec!["cat", "s3://bucket/set/00000.tar"], "error: s3://bucket/set/00000.tar: "),
        (vec!["head", "s3://bucket/set/00009.tar"], "s3://bucket/set/00009.tar: there is no such object"),
        (vec!["stat", "s3://bucket/other"], "s3://bucket/other: no shards here"),
        (vec!["verify", "s3://nowhere/x"], "s3://nowhere/x: there is no such bucket"),
        (vec!["head", "s5://bucket/x.tar"], "`s5://` is no place for shards"),
        (
            vec!["subset", "s3://bucket/set", "--size", "1", "--out", "s3://bucket/set"],
            "an input's own folder",
        ),
        (
            vec!["subset", "s3://bucket/set", "--size", "9", "--out", "s3://bucket/new"],
            "s3://bucket/set/00000.tar: ",
        ),
        (vec!["convert", "s3://bucket/set", "https://127.0.0.1/x"], "write to s3://"),
    ] {
        let output = run(&s3, temp.path(), &arguments);
        let text = err(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(words) && text.trim_end().lines().count() == 1, "{arguments:?}: {text}");
    }
}

/// Names and bytes of what lies under `prefix` but for what holds the time, the place or a lease.
fn put_up(s3: &S3, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = s3.objects(prefix);
    assert!(!found.contains_key("_pairmill/lock"), "the lease was not given back");
    found.retain(|name, _| {
        !name.ends_with("_stats.json") && !name.starts_with("_pairmill/") && name != "DATASET.md"
    });
    found
}

fn on_disk(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut found: BTreeMap<_, _> = files.map(|path| (name(&path), fs::read(&path).unwrap())).collect();
    found.retain(|name, _| !name.ends_with("_stats.json") && name != "DATASET.md");
    found
}

#[test]
fn new_shards_go_up_whole_and_are_what_they_are_on_disk() {
    let (s3, url, folder) = served();
    let (temp, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    s3.fail(|asked| (asked.number % 5 == 0).then_some(Fault::Status(503)));
    let done = |arguments: &[&str]| {
        let output = run(&s3, temp.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let path = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    for (name, arguments) in [
        ("subset", vec!["subset", "--size", "5", "--number-sample-per-shard", "2", "--shuffle", "3"]),
        ("once", vec!["subset", "--drop-duplicate-images", "exact", "--number-sample-per-shard", "3"]),
        ("reshard", vec!["reshard", "--number-sample-per-shard", "4"]),
        ("convert", vec!["convert"]),
    ] {
        let out = if name == "convert" { vec![] } else { vec!["--out"] };
        let (local, remote) = (path(name), s3.url(name));
        let by_path = [&arguments[..], &[&folder], &out, &[&local]].concat();
        let by_url = [&arguments[..], &[&url], &out, &[&remote]].concat();
        assert_eq!(done(&by_path), done(&by_url));
        assert_eq!(put_up(&s3, name), on_disk(Path::new(&local)), "{name}");
        assert!(s3.objects(name).keys().any(|object| object.ends_with("_stats.json")), "{name}");
    }
    // Parquet image shards by URL, from where they were converted to.
    assert_eq!(
        done(&["reshard", &s3.url("convert"), "--out", &path("again"), "--number-sample-per-shard", "4"])
            .lines()
            .count(),
        1
    );
    assert_eq!(on_disk(Path::new(&path("again")))["00000.tar"], put_up(&s3, "reshard")["00000.tar"]);

    // What is finished stays, the rest is made; other settings are refused.
    let before = put_up(&s3, "subset");
    for name in ["subset/00001_stats.json", "subset/00001.tar"] {
        s3.remove(name);
    }
    let again = ["subset", &url, "--size", "5", "--number-sample-per-shard", "2", "--shuffle", "3", "--out"];
    let said = done(&[&again[..], &[&s3.url("subset")]].concat());
    assert!(said.contains("3 shards, 2 of them found"), "{said}");
    assert_eq!(put_up(&s3, "subset"), before);
    let other = run(&s3, temp.path(), &["reshard", &url, "--out", &s3.url("subset")]);
    let refused = err(&other);
    assert!(
        other.status.code() == Some(2) && refused.contains("s3://bucket/subset: holds shards of other"),
        "{refused}"
    );

    // Indexes lie beside the tars.
    let indexed = done(&["index", &url]);
    let copy = path("copy");
    fs::create_dir(&copy).unwrap();
    for (name, bytes) in served().0.objects("set") {
        fs::write(Path::new(&copy).join(name), bytes).unwrap();
    }
    assert_eq!(done(&["index", &copy]), indexed);
    assert_eq!(put_up(&s3, "set"), on_disk(Path::new(&copy)));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "left in the folder for temporary files");
}

#[test]
fn f13_a_prefix_that_lacks_shards_is_not_taken_for_the_whole() {
    let (s3, url, folder) = served();
    let (temp, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = here.path().join("out");
    let out = out.to_str().unwrap();
    let converted = s3.url("converted");
    let convert = ["convert", &url, &converted];
    assert!(run(&s3, temp.path(), &convert).status.success());
    let whole = put_up(&s3, "converted");
    // As a kill leaves it.
    for name in ["converted/00001.parquet", "converted/00001_stats.json"] {
        s3.remove(name);
    }
    s3.put("set/_pairmill/runs/00000.done", b"shards = 4\n");
    for (place, lack) in [
        (
            &converted,
            format!("{converted}: shard 00001 is not whole: convert was to make it of {url}/00001.tar"),
        ),
        (&url, format!("{url}: shard 00002 is missing: the run from shard 00000 made 4")),
    ] {
        let refused = run(&s3, temp.path(), &["reshard", "-q", place, "--out", out]);
        let text = err(&refused);
        assert!(refused.status.code() == Some(2) && text.contains(&lack), "{text}");
        let looked = run(&s3, temp.path(), &["head", "-n", "1", place]);
        assert!(looked.status.success() && err(&looked).contains(&lack), "{}", err(&looked));
        let verdict = run(&s3, temp.path(), &["verify", place]);
        assert!(String::from_utf8_lossy(&verdict.stdout).contains("R27: shard"), "{place}");
    }
    // Shards that are named are taken as they are.
    let named = format!("{url}/{{00000..00001}}.tar");
    assert!(run(&s3, temp.path(), &["reshard", "-q", &named, "--out", out]).status.success());
    // Given again over the same prefix, convert makes what is missing.
    s3.remove("set/_pairmill/runs/00000.done");
    let again = run(&s3, temp.path(), &convert);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("in 1 shards, 1 more were there"),
        "{}",
        err(&again)
    );
    assert_eq!(put_up(&s3, "converted"), whole);
    let other = run(&s3, temp.path(), &["convert", &folder, &converted]);
    assert!(other.status.code() == Some(2) && err(&other).contains("was made of another"), "{}", err(&other));
}
