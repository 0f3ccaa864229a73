//! Captions as people have them: in other encodings, in JSON as Python writes it, several a sample; and samples that
//! cannot be used, counted once each.

use std::sync::Arc;

use arrow::array::builder::{ListBuilder, StringBuilder};
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use pairmill_loader::{
    BadSamples, CaptionFrom, Dataset, DatasetConfig, HeapBuffer, Loader, LoaderConfig, Order, SourceSpec,
    Tally,
};
use pairmill_shards::sample::Sample;
use parquet::arrow::ArrowWriter;

use crate::shards::{Folder, config, drain, encode, good, ids, key, member, open, picture, run};

fn sequential(batch_size: usize) -> LoaderConfig {
    LoaderConfig { order: Order::Sequential, ..config(batch_size) }
}

/// Runs one epoch and hands out its tally.
fn tally(dataset: Dataset, config: &LoaderConfig) -> Tally {
    let mut loader = Loader::start(dataset, config, encode(), HeapBuffer::pool(config)).unwrap();
    while let Some(batch) = loader.next().unwrap() {
        loader.recycle(batch.images);
    }
    let tally = loader.take_tally();
    assert_eq!(loader.tally(), &Tally::default());
    tally
}

#[test]
fn t06_captions_in_other_encodings_are_read_and_counted() {
    let folder = Folder::new();
    let sample = |n: usize| {
        let text = format!("0 {n}");
        let caption = match n {
            0 => [&b"\xff\xfe"[..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()]
                .concat(),
            1 => [&b"\xfe\xff"[..], &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()]
                .concat(),
            2 => [text.as_bytes(), b" caf\xe9"].concat(),
            3 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            _ => text.into_bytes(),
        };
        Sample { key: key(0, n), members: vec![member("png", picture(0, n)), member("txt", caption)] }
    };
    folder.tar("00000.tar", (0..8).map(sample));
    let got = run(&open(&folder), &sequential(8)).unwrap();
    assert_eq!(ids(&got), (0..8).map(|n| (0, n)).collect::<Vec<_>>());
    let tally = tally(open(&folder), &sequential(8));
    assert_eq!((tally.asked, tally.num_skipped(), tally.recoded), (8, 0, 3));
}

#[test]
fn t06_json_with_nan_as_python_writes_it_gives_captions() {
    let folder = Folder::new();
    let sample = |n: usize| {
        let json = format!("{{\"caption\": \"0 {n}\", \"similarity\": NaN, \"width\": Infinity}}");
        Sample { key: key(0, n), members: vec![member("png", picture(0, n)), member("json", json)] }
    };
    folder.tar("00000.tar", (0..8).map(sample));
    let from_json =
        DatasetConfig { caption: CaptionFrom::Json("caption".to_owned()), ..DatasetConfig::default() };
    let dataset = Dataset::open(&[folder.spec()], &from_json).unwrap();
    assert_eq!(ids(&run(&dataset, &sequential(8)).unwrap()), (0..8).map(|n| (0, n)).collect::<Vec<_>>());
}

#[test]
fn t06_a_file_url_names_shards_of_this_machine() {
    let folder = Folder::with_tars(&[4, 4]);
    let wanted = run(&open(&folder), &sequential(4)).unwrap();
    for prefix in ["file://", "file:", "file://localhost"] {
        for rest in ["", "/{00000..00001}.tar", "/*.tar"] {
            let source = SourceSpec::new(format!("{prefix}{}{rest}", folder.path().display()));
            let dataset = Dataset::open(std::slice::from_ref(&source), &DatasetConfig::default()).unwrap();
            assert_eq!(ids(&run(&dataset, &sequential(4)).unwrap()), ids(&wanted), "{source:?}");
        }
    }
}

#[test]
fn t06_every_skipped_sample_is_counted_once_with_its_reason_and_an_example() {
    let folder = Folder::new();
    let sample = |n: usize| {
        let mut sample = good(0, n);
        match n % 8 {
            1 => sample.members[0].data = b"<html>".to_vec(),
            5 => sample.members.truncate(1),
            _ => {}
        }
        sample
    };
    folder.tar("00000.tar", (0..40).map(sample));
    for bad_samples in [BadSamples::Substitute, BadSamples::LeaveEmpty] {
        let config = LoaderConfig { bad_samples, ..sequential(8) };
        let tally = tally(open(&folder), &config);
        assert_eq!((tally.asked, tally.num_skipped()), (40, 10), "{bad_samples:?}");
        assert_eq!(tally.skipped.into_iter().collect::<Vec<_>>(), [("no_caption", 5), ("not_an_image", 5)]);
        assert_eq!(tally.example.unwrap().key, key(0, 1));
    }
}

/// Eight samples with three captions each; caption `c` of sample `n` is `n c`.
fn with_three_captions(folder: &Folder, kind: &str) -> DatasetConfig {
    let captions = |n: usize| (0..3).map(move |c| format!("{n} {c}"));
    let json =
        DatasetConfig { caption: CaptionFrom::Json("captions".to_owned()), ..DatasetConfig::default() };
    let tar = |text: &dyn Fn(usize) -> (&'static str, String)| {
        let sample = |n: usize| {
            let (ext, text) = text(n);
            Sample { key: key(0, n), members: vec![member("png", picture(0, n)), member(ext, text)] }
        };
        folder.tar("00000.tar", (0..8).map(sample));
    };
    match kind {
        "json" => {
            tar(&|n| ("json", format!("{{\"captions\": {:?}}}", captions(n).collect::<Vec<_>>())));
            json
        }
        "lines" => {
            tar(&|n| ("txt", captions(n).collect::<Vec<_>>().join("\n")));
            DatasetConfig { caption_lines: true, ..DatasetConfig::default() }
        }
        _ => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for n in 0..8 {
                lists.append_value(captions(n).map(Some));
            }
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("key", Arc::new((0..8).map(|n| Some(key(0, n))).collect::<StringArray>())),
                ("png", Arc::new(BinaryArray::from_iter_values((0..8).map(|n| picture(0, n))))),
                (if kind == "caption" { "caption" } else { "captions" }, Arc::new(lists.finish())),
            ];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            let file = std::fs::File::create(folder.path().join("00000.parquet")).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            if kind == "field" { json } else { DatasetConfig::default() }
        }
    }
}

#[test]
fn t14_one_of_several_captions_is_drawn_anew_each_epoch() {
    let config = LoaderConfig { epochs: Some(30), ..sequential(8) };
    let mut all = Vec::new();
    for kind in ["json", "lines", "caption", "captions", "field"] {
        let folder = Folder::new();
        let samples = with_three_captions(&folder, kind);
        let dataset = Dataset::open(&[folder.spec()], &samples).unwrap();
        let got = run(&dataset, &config).unwrap();
        for n in 0..8 {
            let of_sample: Vec<i32> = ids(&got).into_iter().filter(|id| id.0 == n).map(|id| id.1).collect();
            assert_eq!(of_sample.len(), 30, "{kind}");
            assert!((0..3).all(|c| of_sample.contains(&c)), "{kind}: sample {n} only had {of_sample:?}");
        }
        // For evaluation, it is always the first.
        let first = LoaderConfig { captions: LoaderConfig::evaluation(8, 8).captions, ..config.clone() };
        assert!(ids(&run(&dataset, &first).unwrap()).iter().all(|id| id.1 == 0), "{kind}");
        all.push(ids(&got));
    }
    // However they are stored, the same are drawn.
    assert!(all.iter().all(|ids| *ids == all[0]));
}

#[test]
fn t14_a_resumed_run_draws_the_captions_of_one_that_was_not_stopped() {
    let folder = Folder::new();
    let samples = with_three_captions(&folder, "lines");
    let dataset = Dataset::open(&[folder.spec()], &samples).unwrap();
    let config = LoaderConfig { epochs: Some(3), ..config(4) };
    let whole = run(&dataset, &config).unwrap();
    let buffers = HeapBuffer::pool(&config);
    let resumed = Loader::resume(dataset.clone(), &config, encode(), buffers, &whole[2].state).unwrap();
    assert_eq!(drain(resumed).unwrap(), whole[3..]);
    let threads = LoaderConfig { threads: 5, ..config.clone() };
    assert_eq!(run(&dataset, &threads).unwrap(), whole);
    let other = LoaderConfig { seed: 1, ..config };
    assert_ne!(ids(&run(&dataset, &other).unwrap()), ids(&whole));
}
