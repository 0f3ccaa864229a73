//! Bad samples are skipped, counted and replaced; bad shards stop the loader; nothing at all is explained.

use std::collections::BTreeSet;

use pairmill_loader::{
    BadSamples, BlankCaptions, Dataset, DatasetConfig, HeapBuffer, LastBatch, Loader, LoaderConfig,
    LoaderError, Origin, SourceSpec,
};
use pairmill_shards::sample::Sample;

use crate::shards::{Folder, config, encode, good, ids, key, member, open, run};

/// Of 40 samples, 10 and 20 are damaged in different ways, 30 has no caption.
fn with_bad_ones() -> Folder {
    let folder = Folder::new();
    let sample = |i: usize| {
        let mut sample = good(0, i);
        match i {
            10 => sample.members[0].data = b"<html>".to_vec(),
            20 => sample.members[0].data.truncate(60),
            30 => sample.members.truncate(1),
            _ => {}
        }
        sample
    };
    folder.tar("00000.tar", (0..40).map(sample));
    folder
}

#[test]
fn a_bad_sample_is_replaced_from_outside_its_batch_and_reported() {
    let folder = with_bad_ones();
    let dataset = open(&folder);
    let config = config(8);
    let got = run(&dataset, &config).unwrap();
    assert_eq!(got.len(), 5);
    let mut own = Vec::new();
    for got in &got {
        let distinct: BTreeSet<_> = got.ids.iter().collect();
        assert_eq!(distinct.len(), 8, "a batch with a sample twice: {:?}", got.ids);
        let kept = got.ids.iter().zip(&got.origins).filter(|(_, origin)| **origin == Origin::Own);
        own.extend(kept.map(|(id, _)| id.unwrap().1));
    }
    own.sort_unstable();
    let expected: Vec<i32> = (0..40).filter(|i| ![10, 20, 30].contains(i)).collect();
    assert_eq!(own, expected);
    assert_eq!(got, run(&dataset, &LoaderConfig { threads: 5, ..config.clone() }).unwrap());

    let mut loader = Loader::start(dataset, &config, encode(), HeapBuffer::pool(&config)).unwrap();
    let mut reported = Vec::new();
    while let Some(batch) = loader.next().unwrap() {
        reported.extend(batch.skipped.iter().map(|s| (s.key.clone(), s.reason.name())));
        loader.recycle(batch.images);
    }
    reported.sort();
    reported.dedup();
    assert_eq!(
        reported,
        [(key(0, 10), "not_an_image"), (key(0, 20), "truncated_image"), (key(0, 30), "no_caption")]
    );
    let line = loader.skipped()[0].to_string();
    assert!(line.contains("00000.tar: 00000"), "{line}");
    assert_eq!(loader.stats().skipped.len(), 3);
}

#[test]
fn two_ranks_replace_as_one_does() {
    let folder = with_bad_ones();
    let dataset = open(&folder);
    let alone = run(&dataset, &config(8)).unwrap();
    let ranks: Vec<_> =
        (0..2).map(|rank| run(&dataset, &LoaderConfig { rank, world: 2, ..config(4) }).unwrap()).collect();
    for (step, whole) in alone.iter().enumerate() {
        let joined: Vec<_> = ranks.iter().flat_map(|rank| rank[step].ids.clone()).collect();
        assert_eq!(joined, whole.ids);
    }
}

#[test]
fn for_evaluation_a_bad_sample_leaves_its_slot_empty() {
    let folder = with_bad_ones();
    let config =
        LoaderConfig { bad_samples: BadSamples::LeaveEmpty, last_batch: LastBatch::Short, ..config(7) };
    let got = run(&open(&folder), &config).unwrap();
    assert_eq!(got.len(), 6);
    assert_eq!(ids(&got).len(), 37);
}

#[test]
fn blank_captions_are_kept_or_dropped() {
    let folder = Folder::new();
    let blank = |i: usize| {
        let mut sample = good(0, i);
        if i.is_multiple_of(2) {
            sample.members[1].data = b" \n".to_vec();
        }
        sample
    };
    folder.tar("00000.tar", (0..8).map(blank));
    let run_with = |blank_captions| {
        let config = DatasetConfig { blank_captions, ..DatasetConfig::default() };
        let dataset = Dataset::open(&[folder.spec()], &config).unwrap();
        let config = LoaderConfig { bad_samples: BadSamples::LeaveEmpty, ..crate::shards::config(8) };
        ids(&run(&dataset, &config).unwrap()).len()
    };
    assert_eq!(run_with(BlankCaptions::Keep), 8);
    assert_eq!(run_with(BlankCaptions::Drop), 4);
}

#[test]
fn nothing_usable_is_said_in_words() {
    let folder = Folder::new();
    let labelled = |i: usize| {
        let picture = member("png", crate::shards::picture(0, i));
        Sample { key: key(0, i), members: vec![picture, member("cls", "3")] }
    };
    folder.tar("00000.tar", (0..500).map(labelled));
    let dataset = open(&folder);
    for bad_samples in [BadSamples::Substitute, BadSamples::LeaveEmpty] {
        let message = run(&dataset, &LoaderConfig { bad_samples, ..config(10) }).unwrap_err().to_string();
        for part in ["100 % of 500 samples", "500: no `txt` member", "members seen: cls, png"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_damaged_shard_is_named_with_offset_and_rule() {
    let folder = Folder::with_tars(&[4, 4]);
    let path = folder.path().join("00001.tar");
    let mut bytes = std::fs::read(&path).unwrap();
    // In the second header's checksum.
    let at = 512 + bytes[512..].windows(5).position(|w| w == b"ustar").unwrap() - 257;
    bytes[at + 150] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap_err().to_string();
    assert!(error.contains("00001.tar: at byte ") && error.contains("checksum"), "{error}");

    // With a count beside it the damage is found when the shard is opened, behind the batches before it.
    for shard in ["00000", "00001"] {
        std::fs::write(folder.path().join(format!("{shard}_stats.json")), r#"{"successes": 4}"#).unwrap();
    }
    let config = LoaderConfig { order: pairmill_loader::Order::Sequential, window_shards: 1, ..config(2) };
    let dataset = open(&folder);
    let mut loader = Loader::start(dataset, &config, encode(), HeapBuffer::pool(&config)).unwrap();
    for _ in 0..2 {
        let batch = loader.next().unwrap().unwrap();
        loader.recycle(batch.images);
    }
    let error = loader.next().unwrap_err();
    assert!(matches!(error, LoaderError::Tar(_)), "{error}");
}

#[test]
fn a_stale_count_is_named() {
    let folder = Folder::with_tars(&[4]);
    std::fs::write(folder.path().join("00000_stats.json"), r#"{"successes": 5}"#).unwrap();
    let message = run(&open(&folder), &config(2)).unwrap_err().to_string();
    assert!(message.contains("has 4 samples, but 5 were counted (by 00000_stats.json)"), "{message}");
}

#[test]
fn bad_input_is_one_clear_line_each() {
    let folder = Folder::with_tars(&[4]);
    let dataset = open(&folder);
    let open_error = |spec: &str| {
        Dataset::open(&[SourceSpec::new(spec)], &DatasetConfig::default()).unwrap_err().to_string()
    };
    let missing = folder.path().join("{00000..00003}.tar");
    let empty = Folder::new();
    let none = Folder::with_tars(&[0, 0]);
    let run_error = |config: LoaderConfig| run(&dataset, &config).unwrap_err().to_string();
    for (message, part) in [
        (open_error(missing.to_str().unwrap()), "there is no shard"),
        (open_error(empty.path().to_str().unwrap()), "holds no .tar file"),
        (open_error(none.path().to_str().unwrap()), "has no samples: its 2 shards are empty"),
        (open_error("ftp://host/00000.tar"), "not a local path"),
        (open_error("s3:///00000.tar"), "names no bucket"),
        (run_error(config(0)), "batch_size is 0"),
        (run_error(config(5)), "an epoch has 4 samples, less than one global batch of 5"),
        (run_error(LoaderConfig { rank: 1, ..config(2) }), "rank is 1; it must be below world"),
    ] {
        assert!(message.contains(part) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn a_caller_who_keeps_every_buffer_is_told() {
    let folder = Folder::with_tars(&[8]);
    let config = config(2);
    let mut loader = Loader::start(open(&folder), &config, encode(), HeapBuffer::pool(&config)).unwrap();
    let kept: Vec<_> = (0..2).map(|_| loader.next().unwrap().unwrap()).collect();
    assert!(loader.next().unwrap_err().to_string().contains("recycle"));
    for batch in kept {
        loader.recycle(batch.images);
    }
    assert!(loader.next().unwrap().is_some());
}
