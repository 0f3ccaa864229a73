//! Tars that others wrote (fixtures/tar, judged by webdataset) and tars made to hurt (attacks/), through the public
//! API, and the side indexes of both kinds.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};

use pairmill_shards::index::{dali, energon, sizes};
use pairmill_shards::sample::Sample;
use pairmill_shards::tar::{
    BadSamples, EndMarker, MappedTar, TarOptions, TarReader, Unsorted, check_readers_agree,
};
use serde::Deserialize;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn list<T: for<'a> Deserialize<'a>>(folder: &Path) -> Vec<T> {
    let listed: Vec<T> = serde_json::from_slice(&fs::read(folder.join("list.json")).unwrap()).unwrap();
    assert!(!listed.is_empty());
    listed
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/tar")
}

#[derive(Deserialize)]
struct Fixture {
    file: String,
    samples: Vec<FixtureSample>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct FixtureSample {
    key: String,
    members: Vec<(String, usize)>,
}

fn outline(sample: &Sample) -> FixtureSample {
    let members = sample.members.iter().map(|m| (m.ext.clone(), m.data.len())).collect();
    FixtureSample { key: sample.key.clone(), members }
}

/// A tar with links and a key that returns, which webdataset passes over and takes for two samples.
const UNTIDY: &str = "skipped_members.tar";

fn tidy_fixtures() -> impl Iterator<Item = Fixture> {
    list::<Fixture>(&fixtures()).into_iter().filter(|fixture| fixture.file != UNTIDY)
}

#[test]
fn an_untidy_tar_is_an_error_and_can_be_read_as_webdataset_does() {
    let path = fixtures().join(UNTIDY);
    // The first thing wrong, whichever it is: its key returns, and a hard link leads nowhere.
    assert_eq!(MappedTar::open(&path).unwrap_err().rule.name(), "returning_key");
    let options = |unsorted, bad_samples| TarOptions { unsorted, bad_samples, ..TarOptions::default() };
    let split = options(Unsorted::Split, BadSamples::Stop);
    assert_eq!(MappedTar::open_with(&path, split).unwrap_err().rule.name(), "link");
    let tar = MappedTar::open_with(&path, options(Unsorted::Split, BadSamples::Keep)).unwrap();
    assert_eq!(tar.skipped().to_string(), "skipped 1 member of no sample (for example data/README)");
    let fixture = list::<Fixture>(&fixtures()).into_iter().find(|fixture| fixture.file == UNTIDY).unwrap();
    let seen: Vec<FixtureSample> = (tar.index().iter())
        .map(|span| FixtureSample {
            key: span.key().to_owned(),
            members: (span.components().filter(|c| !c.is_link))
                .map(|c| (c.ext.to_owned(), c.size as usize))
                .collect(),
        })
        .collect();
    assert_eq!(seen, fixture.samples);
    let linked = tar.sample(0).unwrap();
    assert_eq!(linked.get("link.jpg"), linked.get("jpg"));
    assert!(linked.problem().unwrap().to_string().contains("data/0.hard.jpg"), "{:?}", linked.problem());
}

#[test]
fn foreign_tars_hold_the_samples_webdataset_sees() {
    for fixture in tidy_fixtures() {
        let path = fixtures().join(&fixture.file);
        let streamed: Vec<Sample> =
            TarReader::open(&path, EndMarker::Required).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(streamed.iter().map(outline).collect::<Vec<_>>(), fixture.samples, "{}", fixture.file);
        let mapped = MappedTar::open(&path).unwrap();
        assert_eq!(mapped.iter().map(|s| s.to_sample()).collect::<Vec<_>>(), streamed, "{}", fixture.file);
    }
}

#[test]
fn captions_survive_whatever_header_named_them() {
    for name in ["pax_long_names.tar", "gnu_long_names.tar"] {
        let mapped = MappedTar::open(fixtures().join(name)).unwrap();
        let captions: Vec<_> = mapped.iter().map(|s| s.caption().unwrap().to_vec()).collect();
        assert_eq!(captions[1], b"caption of 000000001", "{name}");
        assert_eq!(mapped.sample(2).unwrap().key(), "größe/日本000000002", "{name}");
        // Offsets start at the extension header, as Energon counts them.
        let spans: Vec<_> = mapped.index().iter().map(|s| (s.start(), s.end())).collect();
        assert_eq!((spans[0].0, spans[0].1, spans[1].1), (0, spans[1].0, spans[2].0), "{name}");
    }
}

#[derive(Deserialize)]
struct Attack {
    file: String,
    rule: String,
}

#[test]
fn each_hostile_tar_gives_the_error_of_its_rule() {
    let folder = root().join("attacks");
    for attack in list::<Attack>(&folder) {
        let path = folder.join(&attack.file);
        let bytes = fs::read(&path).unwrap();
        let mapped = MappedTar::open(&path).err().unwrap_or_else(|| panic!("{} was accepted", attack.file));
        assert_eq!(mapped.rule.name(), attack.rule, "{}: {mapped}", attack.file);
        assert!(mapped.offset <= bytes.len() as u64, "{mapped}");
        let message = mapped.to_string();
        assert!(message.contains(&attack.file) && !message.contains('\n'), "{message}");

        let streamed: Vec<_> = TarReader::new(&bytes[..], &path).collect();
        let (last, before) = streamed.split_last().unwrap();
        assert_eq!(last.as_ref().unwrap_err().to_string(), message);
        assert!(before.iter().all(|sample| sample.is_ok()), "{}", attack.file);
        assert_eq!(check_readers_agree(&bytes).unwrap(), None, "{}", attack.file);
    }
}

#[test]
fn a_tar_without_end_marker_reads_leniently() {
    let path = root().join("attacks/cut_between.tar");
    let tar = MappedTar::open_with(&path, EndMarker::Optional).unwrap();
    assert_eq!(tar.sample(0).unwrap().caption(), Some(&b"good"[..]));
}

#[test]
fn indexes_point_at_the_data_of_anyones_tar() {
    let dir = tempfile::tempdir().unwrap();
    for fixture in tidy_fixtures() {
        let tar = MappedTar::open(fixtures().join(&fixture.file)).unwrap();
        let file = dir.path().join("00000.tar");

        let path = dali::path_for(&file);
        assert!(path.ends_with("00000.idx"));
        dali::write(tar.index(), &path).unwrap();
        let read: Vec<_> = dali::read(&path).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), fixture.samples.len());
        for (components, sample) in read.iter().zip(tar.iter()) {
            for (component, (ext, data)) in components.iter().zip(sample.members()) {
                assert_eq!(component.ext, ext);
                let at = component.offset as usize;
                assert_eq!(&tar.bytes()[at..at + component.size as usize], data, "{}", component.name);
            }
        }

        let path = energon::path_for(&file);
        assert!(path.ends_with("00000.tar.idx"));
        energon::write(tar.index(), &path).unwrap();
        let offsets = energon::read(&path).unwrap();
        assert_eq!(offsets.len(), fixture.samples.len() + 1);
        assert_eq!(offsets.last(), Some(&tar.index().end()));
        for (offset, sample) in offsets.iter().zip(tar.iter()) {
            // What starts there reads as this sample.
            let rest = &tar.bytes()[*offset as usize..];
            let first = TarReader::new(rest, "rest").next().unwrap().unwrap();
            assert_eq!(first, sample.to_sample());
        }
    }
    let text = fs::read_to_string(dir.path().join("00000.idx")).unwrap();
    assert!(text.starts_with("v1.2 3\ncls 1536 1 dir/000000000.cls jpg "), "{text}");
}

#[test]
fn damaged_indexes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000.idx");
    for text in [
        "",
        "v1.1 0\n",
        "v1.2 2\njpg 512 1 0.jpg\n",
        "v1.2 0\njpg 512 1 0.jpg\n",
        "v1.2 1\njpg 512 1\n",
        "v1.2 1\njpg x 1 0.jpg\n",
    ] {
        fs::write(&path, text).unwrap();
        let read = dali::read(&path).and_then(|samples| samples.collect::<Result<Vec<_>, _>>());
        let message = read.unwrap_err().to_string();
        assert!(message.contains("00000.idx"), "{text:?}: {message}");
    }
    for bytes in [&[][..], &[0; 7], &[1; 16]] {
        fs::write(&path, bytes).unwrap();
        assert!(energon::read(&path).unwrap_err().to_string().contains("00000.idx"), "{bytes:?}");
    }
    let path = sizes::path_in(dir.path());
    for text in ["", "[]", "{\"00000.tar\": \"9\"}", "{\"00000.tar\": -1}"] {
        fs::write(&path, text).unwrap();
        assert!(sizes::read(&path).unwrap_err().to_string().contains("sizes.json"), "{text}");
    }
    let counts = [("00001.tar".to_owned(), 2), ("00000.tar".to_owned(), 9123)].into_iter().collect();
    sizes::write(&counts, &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\n  \"00000.tar\": 9123,\n  \"00001.tar\": 2\n}\n");
    assert_eq!(sizes::read(&path).unwrap(), counts);
}
