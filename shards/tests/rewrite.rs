//! `subset` and `reshard`: what stays, in which order, under which keys, and what is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy knows only functions marked as tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pairmill_shards::account::Account;
use pairmill_shards::folder::DatasetFolder;
use pairmill_shards::key::KeyLayout;
use pairmill_shards::rewrite::{Choice, RewriteConfig, RewriteError, Rewritten, rewrite};
use pairmill_shards::tar::{MappedTar, TarOptions, TarWriter};
use proptest::prelude::*;

/// Tars of `counts` samples each in `folder`; captions are `{name}{number}`.
fn make_tars(folder: &Path, name: &str, counts: &[usize]) -> Vec<PathBuf> {
    fs::create_dir_all(folder).unwrap();
    let mut number = 0;
    let mut paths = Vec::new();
    for (shard, count) in counts.iter().enumerate() {
        let path = folder.join(format!("{shard:05}.tar"));
        let mut tar = TarWriter::new(fs::File::create(&path).unwrap());
        for at in 0..*count {
            let caption = format!("{name}{number}");
            let json = format!("{{\n    \"url\": \"http://x/{caption}\",\n    \"key\": \"{at:05}\"\n}}");
            let members =
                [("jpg", caption.as_bytes()), ("json", json.as_bytes()), ("txt", caption.as_bytes())];
            tar.append(&format!("{at:05}"), &members).unwrap();
            number += 1;
        }
        tar.finish().unwrap();
        paths.push(path);
    }
    paths
}

fn config(inputs: &[PathBuf], output: &Path, choice: Choice) -> RewriteConfig {
    RewriteConfig {
        inputs: inputs.to_vec(),
        output: output.to_owned(),
        layout: KeyLayout::new(7, 5).unwrap(),
        choice,
        duplicates: None,
        threads: 1,
        shuffle: None,
        bucket_bytes: 1 << 30,
        tar: TarOptions::default(),
        members: Vec::new(),
    }
}

fn run(config: &RewriteConfig) -> Rewritten {
    rewrite(config, &mut |_| {}).unwrap()
}

/// Captions in the order of the shards; every `json` must name the key of its sample.
fn captions(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut keys = BTreeSet::new();
    for name in tars(folder) {
        for sample in MappedTar::open(folder.join(name)).unwrap().iter() {
            let json: serde_json::Value = serde_json::from_slice(sample.metadata().unwrap()).unwrap();
            assert_eq!(json["key"], sample.key());
            assert!(keys.insert(sample.key().to_owned()), "{} comes twice", sample.key());
            found.push(String::from_utf8(sample.caption().unwrap().to_vec()).unwrap());
        }
    }
    found
}

fn tars(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".tar")).collect();
    names.sort();
    names
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    tars(folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

#[test]
fn several_folders_become_one_under_new_keys() {
    let dir = tempfile::tempdir().unwrap();
    let mut inputs = make_tars(&dir.path().join("a"), "a", &[5, 0, 3]);
    inputs.extend(make_tars(&dir.path().join("b"), "b", &[9]));
    let out = dir.path().join("out");
    let done = run(&config(&inputs, &out, Choice::All));
    assert_eq!((done.samples_in, done.samples_out, done.shards), (17, 17, 3));
    let expected: Vec<String> =
        (0..8).map(|n| format!("a{n}")).chain((0..9).map(|n| format!("b{n}"))).collect();
    assert_eq!(captions(&out), expected);
    let sizes: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("sizes.json")).unwrap()).unwrap();
    assert_eq!(sizes, serde_json::json!({"00000.tar": 7, "00001.tar": 7, "00002.tar": 3}));
    assert!(done.without_tables.unwrap().contains("00000.tar has none"));
}

#[test]
fn a_shuffle_is_the_same_whatever_its_memory_and_the_order_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = make_tars(&dir.path().join("a"), "a", &[40, 60, 30]);
    let shuffled = |name: &str, inputs: &[PathBuf], seed, bucket_bytes| {
        let out = dir.path().join(name);
        run(&RewriteConfig { shuffle: Some(seed), bucket_bytes, ..config(inputs, &out, Choice::All) });
        assert!(!out.join("_pairmill/shuffle").exists());
        captions(&out)
    };
    let whole = shuffled("whole", &inputs, 3, 1 << 30);
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), 130);
    assert_ne!(whole, (0..130).map(|n| format!("a{n}")).collect::<Vec<_>>());
    assert_eq!(whole, shuffled("small", &inputs, 3, 10_000));
    let backwards: Vec<PathBuf> = inputs.iter().rev().cloned().collect();
    assert_eq!(whole, shuffled("backwards", &backwards, 3, 10_000));
    assert_ne!(whole, shuffled("other", &inputs, 4, 1 << 30));
    // No sample stays near where it was: of the first shard's samples about 130 × (7 / 130) × (7 / 130) would.
    let first: Vec<usize> = whole[..7].iter().map(|caption| caption[1..].parse().unwrap()).collect();
    assert!(
        first.iter().any(|number| *number > 40) && first.iter().filter(|n| **n < 7).count() < 5,
        "{first:?}"
    );
}

#[test]
fn a_run_that_was_cut_short_goes_on_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = make_tars(&dir.path().join("a"), "a", &[20, 20]);
    for shuffle in [None, Some(1)] {
        let out = dir.path().join(format!("out{shuffle:?}"));
        let config = RewriteConfig { shuffle, ..config(&inputs, &out, Choice::Subset { size: 30, seed: 5 }) };
        assert_eq!(run(&config).shards_found, 0);
        let whole = contents(&out);
        for name in ["00002.tar", "00004.tar", "sizes.json"] {
            fs::remove_file(out.join(name)).unwrap();
        }
        assert_eq!(run(&config).shards_found, 3);
        assert_eq!(contents(&out), whole);
        assert!(out.join("sizes.json").exists());
    }
}

#[test]
fn what_would_be_lost_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = make_tars(&dir.path().join("a"), "a", &[4]);
    let other = make_tars(&dir.path().join("b"), "b", &[4]);
    let refused = |config: &RewriteConfig| rewrite(config, &mut |_| {}).unwrap_err();
    let own = refused(&config(&inputs, &dir.path().join("a"), Choice::All));
    assert!(matches!(own, RewriteError::OwnFolder { .. }), "{own}");
    let taken = refused(&config(&inputs, &dir.path().join("b"), Choice::All));
    assert!(taken.to_string().contains("did not write"), "{taken}");
    let out = dir.path().join("out");
    run(&config(&inputs, &out, Choice::All));
    let settings = refused(&config(&inputs, &out, Choice::Prefix { size: 2 }));
    assert!(settings.to_string().contains("other settings"), "{settings}");
    let inputs = refused(&config(&other, &out, Choice::All));
    assert!(inputs.to_string().contains("other inputs"), "{inputs}");
    assert_eq!(captions(&out), ["a0", "a1", "a2", "a3"]);
}

fn shards(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pairmill-shards")).args(args).output().unwrap()
}

/// img2dataset's own output, 14 rows of which 7 succeeded, with sidecars of one shape.
#[test]
fn sidecars_follow_their_samples_and_every_rule_holds() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset");
    let dir = tempfile::tempdir().unwrap();
    for (name, extra, samples) in [
        ("all", &["reshard"][..], 7),
        ("shuffled", &["reshard", "--shuffle", "2"][..], 7),
        ("some", &["subset", "--size", "4", "--shuffle", "1"][..], 4),
        ("first", &["subset", "--size", "4", "--prefix"][..], 4),
    ] {
        let out = dir.path().join(name);
        let args = [
            extra,
            &["--number-sample-per-shard", "3", "--out", out.to_str().unwrap(), from.to_str().unwrap()],
        ]
        .concat();
        let done = shards(&args);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(String::from_utf8_lossy(&done.stderr), "");
        let account = Account::of(&DatasetFolder::scan(&out).unwrap()).unwrap();
        assert_eq!((account.outcomes.rows, account.outcomes.successes), (samples, samples), "{name}");
        let verified = shards(&["verify", out.to_str().unwrap()]);
        assert!(verified.status.success(), "{name}: {}", String::from_utf8_lossy(&verified.stdout));
    }
}

/// Given again, the command makes them, also where the input has moved.
#[test]
fn f13_shards_that_lost_a_file_are_made_again() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset");
    let dir = tempfile::tempdir().unwrap();
    let (from, moved, out) = (dir.path().join("from"), dir.path().join("moved"), dir.path().join("out"));
    fs::create_dir(&from).unwrap();
    for entry in fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), from.join(entry.file_name())).unwrap();
    }
    let reshard = |from: &Path| {
        let out = out.to_str().unwrap();
        let args = ["reshard", "--number-sample-per-shard", "2", "--out", out, from.to_str().unwrap()];
        let done = shards(&args);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let data = || -> Vec<_> {
        ["00000.tar", "00001.tar", "00001.parquet", "00002.parquet"]
            .map(|name| fs::read(out.join(name)).unwrap())
            .into()
    };
    reshard(&from);
    let whole = data();
    fs::remove_file(out.join("00000.tar")).unwrap();
    fs::remove_file(out.join("00002.parquet")).unwrap();
    fs::rename(&from, &moved).unwrap();
    let said = reshard(&moved);
    assert!(said.contains("4 shards, 2 of them found"), "{said}");
    assert_eq!(data(), whole);
    let verified = shards(&["verify", out.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn bad_input_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    let damaged = dir.path().join("00000.tar");
    fs::write(&damaged, [7; 1024]).unwrap();
    for args in [
        &["subset", "nowhere", "--size", "3", "--out", out][..],
        &["reshard", damaged.to_str().unwrap(), "--out", out],
        &["reshard", "nowhere", "--number-sample-per-shard", "0", "--out", out],
    ] {
        let refused = shards(args);
        let message = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.starts_with("error: ") && message.trim_end().lines().count() == 1, "{message}");
        assert!(!dir.path().join("out/00000.tar").exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Exact in size, nested for one seed, the same for any order of the files.
    #[test]
    fn subsets_are_nested(counts in prop::collection::vec(0_usize..25, 1..5), seed in any::<u64>(), a in 1_u64..60, b in 1_u64..60) {
        let dir = tempfile::tempdir().unwrap();
        let inputs = make_tars(&dir.path().join("a"), "a", &counts);
        let backwards: Vec<PathBuf> = inputs.iter().rev().cloned().collect();
        let total = counts.iter().sum::<usize>() as u64;
        let subset = |name: &str, inputs: &[PathBuf], size| {
            let out = dir.path().join(name);
            run(&config(inputs, &out, Choice::Subset { size, seed }));
            captions(&out).into_iter().collect::<BTreeSet<_>>()
        };
        let (small, large) = (subset("small", &inputs, a.min(b)), subset("large", &inputs, a.max(b)));
        prop_assert_eq!(small.len() as u64, a.min(b).min(total));
        prop_assert_eq!(large.len() as u64, a.max(b).min(total));
        prop_assert!(small.is_subset(&large));
        prop_assert_eq!(&large, &subset("again", &backwards, a.max(b)));
    }
}
