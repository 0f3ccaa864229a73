//! Shards of other people: members out of order, links, names that are not UTF-8, compressed tars, Hugging Face's columns.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use pairmill_loader::{
    CaptionFrom, Dataset, DatasetConfig, HeapBuffer, Loader, LoaderConfig, LoaderError, Order, Origin,
    SourceSpec, Unsorted,
};
use pairmill_shards::index::energon;
use parquet::arrow::ArrowWriter;

use crate::shards::{Folder, config, encode, ids, picture, run};

/// A tar of members in any order.
fn write_tar(path: &Path, members: impl IntoIterator<Item = (Vec<u8>, Member)>) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, member) in members {
        let mut header = tar::Header::new_gnu();
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(&name);
        let data = match member {
            Member::File(data) => data,
            Member::Link(target) => {
                fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
                header.set_entry_type(tar::EntryType::Link);
                Vec::new()
            }
        };
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, data.as_slice()).unwrap();
    }
    tar.finish().unwrap();
}

enum Member {
    File(Vec<u8>),
    Link(&'static str),
}

fn file(name: impl Into<Vec<u8>>, data: impl Into<Vec<u8>>) -> (Vec<u8>, Member) {
    (name.into(), Member::File(data.into()))
}

fn in_order(batch_size: usize) -> LoaderConfig {
    LoaderConfig { order: Order::Sequential, ..config(batch_size) }
}

#[test]
fn f10_a_tar_that_is_not_sorted_is_an_error_or_joined() {
    let folder = Folder::new();
    let pictures = (0..8).map(|n| file(format!("{n}.png"), picture(0, n)));
    let captions = (0..8).map(|n| file(format!("{n}.txt"), format!("0 {n}")));
    write_tar(&folder.path().join("0.tar"), pictures.chain(captions));
    let message = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap_err().to_string();
    assert!(
        message.contains("key `0` returns") && message.contains("`data.samples.unsorted = \"join\"`"),
        "{message}"
    );
    let joins = DatasetConfig { unsorted: Unsorted::Join, ..DatasetConfig::default() };
    let dataset = Dataset::open(&[folder.spec()], &joins).unwrap();
    let got = run(&dataset, &in_order(8)).unwrap();
    assert_eq!(ids(&got), (0..8).map(|n| (0, n)).collect::<Vec<_>>());
}

#[test]
fn f10_a_link_is_the_picture_it_leads_to() {
    let folder = Folder::new();
    let tar = [
        file("a.png", picture(0, 0)),
        file("a.txt", "0 0"),
        (b"b.png".to_vec(), Member::Link("a.png")),
        file("b.txt", "0 1"),
    ];
    write_tar(&folder.path().join("0.tar"), tar);
    let dataset = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap();
    let got = run(&dataset, &in_order(2)).unwrap();
    assert_eq!(ids(&got), [(0, 0), (0, 1)]);
    let (first, second) = got[0].pixels.split_at(got[0].pixels.len() / 2);
    assert_eq!(first[..3], [0, 0, 200]);
    assert_eq!(second[..3], [0, 0, 200]);
}

#[test]
fn f16_a_sample_whose_name_is_not_utf8_is_a_bad_sample() {
    let folder = Folder::new();
    let members = (0..40).flat_map(|n| {
        let key = if n == 7 { b"caf\xe9".to_vec() } else { format!("{n:03}").into_bytes() };
        let name = |ext: &[u8]| [key.as_slice(), ext].concat();
        [file(name(b".png"), picture(0, n)), file(name(b".txt"), format!("0 {n}"))]
    });
    write_tar(&folder.path().join("0.tar"), members);
    let dataset = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap();
    assert_eq!(dataset.num_samples(), 40, "a bad sample has its place");
    let config = in_order(10);
    let mut loader = Loader::start(dataset, &config, encode(), HeapBuffer::pool(&config)).unwrap();
    let mut substitutes = 0;
    while let Some(batch) = loader.next().unwrap() {
        substitutes += batch.slots.iter().filter(|slot| slot.origin == Origin::Substitute).count();
        loader.recycle(batch.images);
    }
    assert_eq!((substitutes, loader.stats().skipped["member_name"]), (1, 1));
    let line = loader.skipped()[0].to_string();
    assert!(line.contains("0.tar") && line.contains("caf\\xe9.png"), "{line}");
}

#[test]
fn f22_compressed_tars_are_unpacked_and_said_to_cost() {
    let (plain, folder) = (Folder::with_tars(&[6, 6]), Folder::new());
    for (name, to) in [("00000.tar", "00000.tar.gz"), ("00001.tar", "00001.tgz")] {
        let bytes = std::fs::read(plain.path().join(name)).unwrap();
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&bytes).unwrap();
        std::fs::write(folder.path().join(to), out.finish().unwrap()).unwrap();
    }
    let wanted = run(&crate::shards::open(&plain), &in_order(4)).unwrap();
    let dataset = crate::shards::open(&folder);
    assert!(dataset.describe().contains("2 are compressed"), "{}", dataset.describe());
    assert_eq!(ids(&run(&dataset, &in_order(4)).unwrap()), ids(&wanted));
    // The index of a plain tar of the same name says nothing about a compressed one.
    std::fs::write(energon::path_for(&folder.path().join("00000.tar")), [0; 800]).unwrap();
    assert_eq!(crate::shards::open(&folder).num_samples(), 12);
}

#[test]
fn f22_captions_in_a_column_json_are_found() {
    let folder = Folder::new();
    let pictures: Vec<_> = (0..6).map(|n| picture(0, n)).collect();
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(&pictures));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 6]));
    let image = StructArray::from(vec![
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
        (Arc::new(Field::new("path", DataType::Utf8, true)), paths),
    ]);
    let captions: ArrayRef = Arc::new((0..6).map(|n| Some(format!("0 {n}"))).collect::<StringArray>());
    let json = StructArray::from(vec![(Arc::new(Field::new("alt", DataType::Utf8, true)), captions.clone())]);
    let texts: StringArray = (0..6).map(|n| Some(format!("{{\"alt\": \"0 {n}\"}}"))).collect();
    for json in [Arc::new(json) as ArrayRef, Arc::new(texts)] {
        let columns: Vec<(&str, ArrayRef)> = vec![("png", Arc::new(image.clone())), ("json", json)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = std::fs::File::create(folder.path().join("0.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let from_json =
            DatasetConfig { caption: CaptionFrom::Json("alt".to_owned()), ..DatasetConfig::default() };
        let dataset = Dataset::open(&[folder.spec()], &from_json).unwrap();
        let got = run(&dataset, &in_order(6)).unwrap();
        assert_eq!(ids(&got), (0..6).map(|n| (0, n)).collect::<Vec<_>>());
    }
}

#[test]
fn f22_a_pointer_or_a_page_in_place_of_a_shard_is_told() {
    let folder = Folder::new();
    for (bytes, part) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"[..], "git lfs pull"),
        (b"<!doctype html><title>Sign in</title>", "HTML page"),
    ] {
        for name in ["0.tar", "0.parquet"] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let source = SourceSpec::new(path.to_str().unwrap());
            let error = Dataset::open(&[source], &DatasetConfig::default()).unwrap_err();
            assert!(matches!(error, LoaderError::Tar(_) | LoaderError::Parquet { .. }), "{error:?}");
            let message = error.to_string();
            assert!(message.contains(part) && message.contains(name), "{message}");
        }
    }
}
