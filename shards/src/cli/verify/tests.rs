//! A sound folder passes; each planted fault is found under its rule. Datasets are built in code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::*;
use crate::index::{dali, energon, sizes};
use crate::key::{KeyLayout, ShardId};
use crate::stats::ShardStats;
use crate::status::{Failure, FailureClass};
use crate::table::{
    HashKind, ImageSize, RowOutcome, SidecarOptions, SidecarReader, SidecarSchema, SidecarWriter, message,
    sample_json,
};
use crate::tar::{EndMarker, MappedTar, TarReader, TarWriter};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(path)
}

/// A real JPEG of 26×16 pixels.
fn jpeg() -> Vec<u8> {
    let tar = MappedTar::open(fixture("webdataset/00000.tar")).unwrap();
    let sample = tar.iter().find(|s| s.key() == "000000").unwrap();
    sample.get("jpg").unwrap().to_vec()
}

fn reader_fields() -> Fields {
    Fields::from(vec![
        Field::new("uid", DataType::Int64, true),
        Field::new("caption", DataType::Utf8, true),
        Field::new("url", DataType::Utf8, true),
    ])
}

/// Key and members: extension and bytes.
type Packed = (String, Vec<(&'static str, Vec<u8>)>);

/// One shard before it is written; tests bend it.
struct Build {
    id: u64,
    outcomes: Vec<RowOutcome>,
    captions: Vec<Option<&'static str>>,
    images: Vec<Option<Vec<u8>>>,
    options: SidecarOptions,
}

impl Build {
    /// Five rows, of which numbers 1 and 3 failed.
    fn new(id: u64) -> Self {
        let layout = KeyLayout::new(10, 5).unwrap();
        let jpeg = jpeg();
        let size = ImageSize {
            width: Some(26),
            height: Some(16),
            original_width: Some(64),
            original_height: Some(40),
        };
        let outcome = |i: u64| RowOutcome {
            key: layout.key(ShardId(id), i),
            result: match i {
                1 => Err(Failure::new(FailureClass::Http4xx, message::http_error(404))),
                3 => Err(Failure::new(FailureClass::TooSmall, message::IMAGE_TOO_SMALL)),
                _ => Ok(size),
            },
            exif: None,
            hash: i.is_multiple_of(2).then(|| HashKind::Md5.hex_digest(&jpeg)),
            final_url: None,
            attempts: 1,
            retry_of: None,
        };
        Self {
            id,
            outcomes: (0..5).map(outcome).collect(),
            captions: vec![Some("a \"cat\""), None, Some("größe"), Some("x"), None],
            images: (0..5).map(|i| (i % 2 == 0).then(|| jpeg.clone())).collect(),
            options: SidecarOptions { hash: Some(HashKind::Md5), ..SidecarOptions::default() },
        }
    }

    fn schema(&self) -> SidecarSchema {
        SidecarSchema::new(&reader_fields(), self.options.clone()).unwrap()
    }

    fn rows(&self) -> RecordBatch {
        let n = self.outcomes.len();
        let columns: Vec<ArrayRef> = vec![
            Arc::new((0..n as i64).collect::<Int64Array>()),
            Arc::new(self.captions.iter().copied().collect::<StringArray>()),
            Arc::new((0..n).map(|i| Some(format!("http://h/{i}"))).collect::<StringArray>()),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(reader_fields())), columns).unwrap()
    }

    fn stats(&self) -> ShardStats {
        let mut stats = ShardStats { end_time: 1.0, ..ShardStats::default() };
        self.outcomes.iter().for_each(|o| stats.record(o.result.as_ref().err()));
        stats
    }

    fn write_table(&self, dir: &Path) {
        let images = self.options.image.is_some().then_some(self.images.as_slice());
        let mut writer = SidecarWriter::new(Vec::new(), &self.schema()).unwrap();
        writer.write(&self.rows(), &self.outcomes, images).unwrap();
        fs::write(dir.join(format!("{:05}.parquet", self.id)), writer.finish().unwrap()).unwrap();
    }

    fn write_stats(&self, dir: &Path) {
        fs::write(dir.join(format!("{:05}_stats.json", self.id)), self.stats().to_json()).unwrap();
    }

    /// Samples as they belong into the tar.
    fn samples(&self) -> Vec<Packed> {
        let (rows, schema) = (self.rows(), self.schema());
        let successes = self.outcomes.iter().enumerate().filter(|(_, o)| o.result.is_ok());
        successes
            .map(|(i, outcome)| {
                let json = sample_json(&rows, i, outcome, &schema).into_bytes();
                let text = self.captions[i].unwrap_or_default().as_bytes().to_vec();
                let image = self.images[i].clone().unwrap();
                (outcome.key.to_string(), vec![("jpg", image), ("json", json), ("txt", text)])
            })
            .collect()
    }

    fn write(&self, dir: &Path) {
        self.write_table(dir);
        if self.options.image.is_none() {
            write_tar(&dir.join(format!("{:05}.tar", self.id)), &self.samples());
        }
        self.write_stats(dir);
    }
}

fn write_tar(path: &Path, samples: &[Packed]) {
    let mut writer = TarWriter::new(Vec::new());
    for (key, members) in samples {
        let members: Vec<(&str, &[u8])> = members.iter().map(|(ext, data)| (*ext, data.as_slice())).collect();
        writer.append(key, &members).unwrap();
    }
    let (bytes, index) = writer.finish().unwrap();
    fs::write(path, bytes).unwrap();
    dali::write(&index, &dali::path_for(path)).unwrap();
    energon::write(&index, &energon::path_for(path)).unwrap();
}

/// A tar with any names, from another writer.
fn write_foreign_tar(path: &Path, members: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, data) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *data).unwrap();
    }
    builder.finish().unwrap();
}

/// Two sound shards with indexes and sizes.
fn dataset() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for id in 0..2 {
        Build::new(id).write(dir.path());
    }
    write_sizes(dir.path(), 3);
    dir
}

fn write_sizes(dir: &Path, second: u64) {
    let counts = BTreeMap::from([("00000.tar".to_owned(), 3), ("00001.tar".to_owned(), second)]);
    sizes::write(&counts, &sizes::path_in(dir)).unwrap();
}

fn lines_of(paths: &[&Path], against: &[Reader]) -> Vec<String> {
    let shards = paths.iter().map(|p| p.to_str().unwrap().parse().unwrap()).collect();
    let args = VerifyArgs { shards, images: true, hashes: true, against: against.to_vec() };
    let mut lines = Vec::new();
    let (_, total) = check(&args, &mut |line| {
        lines.push(line.to_owned());
        Ok(())
    })
    .unwrap();
    assert_eq!(total == 0, lines.is_empty());
    lines
}

/// Rules named in the findings about `dir`.
fn rules(dir: &Path) -> BTreeSet<String> {
    let word = |line: &String| {
        let word = line.split(": ").find(|w| w.starts_with('R') && w[1..].parse::<u8>().is_ok());
        word.unwrap_or_else(|| panic!("no rule in `{line}`")).to_owned()
    };
    lines_of(&[dir], &[]).iter().map(word).collect()
}

/// Plants a fault in a sound dataset and expects exactly these rules to be named.
fn expect(expected: &[&str], plant: impl FnOnce(&Path)) {
    let dir = dataset();
    plant(dir.path());
    let found = rules(dir.path());
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        expected,
        "{:#?}",
        lines_of(&[dir.path()], &[])
    );
}

#[test]
fn a_sound_folder_passes() {
    expect(&[], |_| {});
}

#[test]
fn every_rule_has_its_number() {
    for (at, rule) in Rule::ALL.iter().enumerate() {
        assert_eq!(rule.id(), format!("R{}", at + 1));
    }
    let format = include_str!("../../../FORMAT.md");
    for rule in Rule::ALL {
        assert!(format.contains(&format!("| {} |", rule.id())), "FORMAT.md does not list {}", rule.id());
    }
}

#[test]
fn img2datasets_folders_pass() {
    for output in ["webdataset", "parquet"] {
        assert_eq!(lines_of(&[&fixture(output)], &[]), Vec::<String>::new(), "{output}");
    }
}

#[test]
fn r1_another_padding() {
    expect(&["R1"], |dir| _ = fs::copy(dir.join("00001.tar"), dir.join("0000001.tar")).unwrap());
}

#[test]
fn r2_an_unfinished_shard() {
    expect(&["R2"], |dir| fs::remove_file(dir.join("00001_stats.json")).unwrap());
}

#[test]
fn r3_temporary_files() {
    expect(&["R3"], |dir| {
        fs::write(dir.join(".00002.tar.17.tmp"), b"x").unwrap();
        fs::create_dir(dir.join("_tmp")).unwrap();
    });
}

#[test]
fn r4_json_that_img2dataset_trips_over() {
    expect(&["R4"], |dir| {
        fs::write(dir.join("00012_index.json"), b"{}").unwrap();
        fs::write(dir.join("shardindex.json"), b"{}").unwrap();
    });
}

#[test]
fn r5_a_finished_shard_without_table_or_images() {
    expect(&["R5"], |dir| fs::remove_file(dir.join("00001.parquet")).unwrap());
    expect(&["R21", "R5"], |dir| fs::remove_file(dir.join("00001.tar")).unwrap());
}

#[test]
fn r6_a_tar_cut_short() {
    expect(&["R6"], |dir| {
        let tar = dir.join("00000.tar");
        let bytes = fs::read(&tar).unwrap();
        fs::write(&tar, &bytes[..1_700]).unwrap();
    });
}

#[test]
fn r7_names_readers_disagree_on() {
    let dir = tempfile::tempdir().unwrap();
    let members: [(&str, &[u8]); 3] = [("sub/0.jpg", &jpeg()), ("1.JPG", &jpeg()), ("2.x.png", b"")];
    write_foreign_tar(&dir.path().join("a.tar"), &members);
    let lines = lines_of(&[&dir.path().join("a.tar")], &[]).join("\n");
    for says in ["has a folder", "not lower-case", "more than one dot"] {
        assert!(lines.contains(says), "{lines}");
    }
}

#[test]
fn r8_keys_that_come_twice() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Build::new(0).samples();
    write_tar(&dir.path().join("a.tar"), &[sample[0].clone(), sample[1].clone(), sample[0].clone()]);
    write_tar(&dir.path().join("b.tar"), &[sample[1].clone()]);
    let lines = lines_of(&[dir.path()], &[]);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("R8") && lines[0].contains("samples 0 and 2"), "{lines:#?}");
    assert!(lines[1].contains("b.tar") && lines[1].contains("a.tar too"), "{lines:#?}");
}

#[test]
fn r9_samples_with_missing_members() {
    expect(&["R9"], |dir| {
        let mut samples = Build::new(0).samples();
        samples[0].1.retain(|(ext, _)| *ext != "json");
        samples[1].1.retain(|(ext, _)| *ext != "txt");
        samples[2].1.retain(|(ext, _)| *ext != "jpg");
        write_tar(&dir.join("00000.tar"), &samples);
    });
}

#[test]
fn r10_images_that_are_none_or_of_another_size() {
    expect(&["R10"], |dir| {
        let mut build = Build::new(0);
        build.images[0] = Some(b"<html>".to_vec());
        build.images[2] = Some(Vec::new());
        let wrong = ImageSize {
            width: Some(27),
            height: Some(16),
            original_width: Some(64),
            original_height: Some(40),
        };
        build.outcomes[4].result = Ok(wrong);
        build.write(dir);
    });
}

#[test]
fn r11_an_unreadable_table() {
    expect(&["R11"], |dir| fs::write(dir.join("00000.parquet"), b"PAR1 no PAR1").unwrap());
}

#[test]
fn r12_keys_out_of_place() {
    // The rows trade keys, so neither order nor contents are those of the tar.
    expect(&["R12", "R14", "R15", "R16"], |dir| {
        let mut build = Build::new(0);
        build.outcomes.swap(0, 4);
        build.write_table(dir);
    });
}

#[test]
fn r13_a_row_that_contradicts_itself() {
    expect(&["R13"], |dir| {
        let mut build = Build::new(0);
        build.outcomes[0].result = Ok(ImageSize { original_width: None, ..build.outcomes[2].size() });
        build.write(dir);
    });
}

#[test]
fn r14_tar_and_table_hold_different_samples() {
    expect(&["R14", "R21"], |dir| {
        let mut samples = Build::new(0).samples();
        samples.remove(1);
        write_tar(&dir.join("00000.tar"), &samples);
    });
    expect(&["R14"], |dir| {
        let mut samples = Build::new(0).samples();
        samples.swap(0, 1);
        write_tar(&dir.join("00000.tar"), &samples);
    });
}

#[test]
fn r15_and_r16_members_that_do_not_say_what_the_table_says() {
    expect(&["R15", "R16"], |dir| {
        let mut samples = Build::new(0).samples();
        let json = String::from_utf8(samples[0].1[1].1.clone()).unwrap();
        samples[0].1[1].1 = json.replace("http://h/0", "http://h/9").into_bytes();
        samples[1].1[1].1 = b"{\"key\": ".to_vec();
        samples[2].1[2].1 = b"another caption".to_vec();
        write_tar(&dir.join("00000.tar"), &samples);
    });
    expect(&["R15"], |dir| {
        let mut samples = Build::new(0).samples();
        let json = String::from_utf8(samples[0].1[1].1.clone()).unwrap();
        samples[0].1[1].1 = json.replace("    ", "  ").into_bytes();
        write_tar(&dir.join("00000.tar"), &samples);
    });
}

#[test]
fn r17_unreadable_stats() {
    expect(&["R17"], |dir| fs::write(dir.join("00000_stats.json"), b"{\"count\": 5}").unwrap());
}

#[test]
fn r18_stats_that_count_differently() {
    expect(&["R18"], |dir| {
        let mut stats = Build::new(0).stats();
        stats.record(None);
        fs::write(dir.join("00000_stats.json"), stats.to_json()).unwrap();
    });
    expect(&["R18"], |dir| {
        let text = Build::new(0).stats().to_json().replace("Not Found", "Lost");
        fs::write(dir.join("00000_stats.json"), text).unwrap();
    });
}

#[test]
fn r19_to_r21_indexes_of_another_tar() {
    expect(&["R19", "R20", "R21"], |dir| {
        let mut samples = Build::new(1).samples();
        samples[0].1[2].1 = vec![b'x'; 2_000];
        write_tar(&dir.join("other.tar"), &samples);
        for suffix in [".idx", ".tar.idx"] {
            fs::rename(dir.join(format!("other{suffix}")), dir.join(format!("00001{suffix}"))).unwrap();
        }
        fs::remove_file(dir.join("other.tar")).unwrap();
        write_sizes(dir, 4);
    });
}

#[test]
fn r22_retries_of_what_did_not_fail() {
    let retry = |keys: &[&str], dir: &Path| {
        let mut build = Build::new(2);
        build.options.retry = true;
        build.outcomes.truncate(keys.len());
        build.captions.truncate(keys.len());
        for (outcome, key) in build.outcomes.iter_mut().zip(keys) {
            outcome.retry_of = Some((*key).to_owned());
        }
        build.write(dir);
        fs::remove_file(dir.join("sizes.json")).unwrap();
    };
    expect(&[], |dir| retry(&["000001", "000013"], dir));
    expect(&["R22"], |dir| retry(&["000002"], dir));
    expect(&["R22"], |dir| retry(&["000099"], dir));
    expect(&["R22"], |dir| retry(&["000001", "000001"], dir));
}

#[test]
fn r23_image_columns_that_do_not_match_the_status() {
    for image_as_struct in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut build = Build::new(0);
        build.options = SidecarOptions { image: Some("jpg".to_owned()), image_as_struct, ..build.options };
        build.write(dir.path());
        assert_eq!(rules(dir.path()), BTreeSet::new());
        build.images.swap(0, 1);
        build.write(dir.path());
        assert_eq!(rules(dir.path()), BTreeSet::from(["R23".to_owned()]));
    }
}

#[test]
fn r24_hashes_of_images_kept_as_they_came() {
    let kept = |dir: &Path, image: Vec<u8>| {
        let mut build = Build::new(0);
        build.outcomes[0].result = Ok(ImageSize::default());
        build.images[0] = Some(image);
        build.write(dir);
    };
    expect(&[], |dir| kept(dir, jpeg()));
    expect(&["R24"], |dir| kept(dir, [jpeg(), b"!".to_vec()].concat()));
}

#[test]
fn r27_f03_messages_and_final_urls_that_tell_of_the_network() {
    let bend = |message: &str, final_url: &str, whole: bool| {
        let (message, final_url) = (message.to_owned(), final_url.to_owned());
        move |dir: &Path| {
            let mut build = Build::new(0);
            build.options.whole_final_url = whole;
            build.outcomes[1].result = Err(Failure::new(FailureClass::Http4xx, message));
            build.outcomes[2].final_url = Some(final_url);
            build.write(dir);
        }
    };
    let plain = "https://h.test/a.jpg";
    let secret = "https://user:PASSWORD@h.test/a.jpg?sig=SIGNATURE";
    expect(&[], bend("HTTP Error 404: Not Found", plain, false));
    expect(&[], bend("HTTP Error 404: Not Found", secret, true));
    expect(&["R28"], bend("HTTP Error 404: Not Found", secret, false));
    expect(&["R28"], bend("HTTP Error 404: see http://h.test/?sig=SIGNATURE", plain, false));
    expect(&["R28"], bend(&"x".repeat(300_000), plain, false));
    let dir = dataset();
    bend("HTTP Error 404: Not Found", secret, false)(dir.path());
    let lines = lines_of(&[dir.path()], &[]).join("\n");
    assert!(!lines.contains("PASSWORD") && !lines.contains("SIGNATURE"), "{lines}");
}

#[test]
fn r25_a_newer_format() {
    expect(&["R25"], |dir| {
        let path = dir.join("00000.parquet");
        let reader = SidecarReader::open(&path).unwrap();
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_key_value_metadata(Some(vec![parquet::file::metadata::KeyValue::new(
                "pairmill.format_version".to_owned(),
                "2".to_owned(),
            )]))
            .build();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(Vec::new(), Arc::clone(reader.schema()), Some(properties))
                .unwrap();
        for batch in reader.batches(None).unwrap() {
            writer.write(&batch.unwrap()).unwrap();
        }
        fs::write(&path, writer.into_inner().unwrap()).unwrap();
    });
}

#[test]
fn r26_tars_with_the_clock_in_them() {
    expect(&["R19", "R20", "R26"], |dir| {
        let samples = Build::new(0).samples();
        let names: Vec<(String, Vec<u8>)> = samples
            .into_iter()
            .flat_map(|(key, members)| {
                members.into_iter().map(move |(ext, data)| (format!("{key}.{ext}"), data))
            })
            .collect();
        let mut builder = tar::Builder::new(fs::File::create(dir.join("00000.tar")).unwrap());
        for (name, data) in &names {
            // A PAX header before each member, as img2dataset's tars have.
            builder.append_pax_extensions([("mtime", &b"1700000000.5"[..])]).unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            header.set_mode(0o444);
            header.set_mtime(1_700_000_000);
            builder.append_data(&mut header, name, data.as_slice()).unwrap();
        }
        builder.finish().unwrap();
    });
}

#[test]
fn many_alike_are_counted_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    let members: Vec<(String, Vec<u8>)> = (0..40).map(|i| (format!("{i:03}.txt"), b"x".to_vec())).collect();
    let named: Vec<(&str, &[u8])> = members.iter().map(|(n, d)| (n.as_str(), d.as_slice())).collect();
    write_foreign_tar(&dir.path().join("a.tar"), &named);
    let lines = lines_of(&[&dir.path().join("a.tar")], &[]);
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(lines[5].contains("35 more"), "{lines:#?}");
}

#[test]
fn files_output_is_checked_like_tars() {
    let dir = tempfile::tempdir().unwrap();
    let build = Build::new(0);
    build.write_table(dir.path());
    build.write_stats(dir.path());
    fs::create_dir(dir.path().join("00000")).unwrap();
    for (key, members) in build.samples() {
        for (ext, data) in members {
            fs::write(dir.path().join(format!("00000/{key}.{ext}")), data).unwrap();
        }
    }
    assert_eq!(rules(dir.path()), BTreeSet::new());
    fs::write(dir.path().join("00000/000000.txt"), b"other").unwrap();
    fs::remove_file(dir.path().join("00000/000002.jpg")).unwrap();
    fs::write(dir.path().join("00000/000099.jpg"), jpeg()).unwrap();
    assert_eq!(rules(dir.path()).into_iter().collect::<Vec<_>>(), ["R14", "R16", "R9"]);
}

#[test]
fn what_readers_choke_on_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let image = jpeg();
    let json = |width: &str| format!("{{\"width\": {width}, \"note\": null}}").into_bytes();
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    for i in 0..6 {
        members.push((format!("{i}.jpg"), image.clone()));
        members.push((format!("{i}.json"), json(if i < 5 { "1" } else { "\"wide\"" })));
        if i != 2 {
            members.push((format!("{i}.txt"), if i == 3 { b" ".to_vec() } else { b"a cat".to_vec() }));
        }
    }
    members.push(("6.input.jpg".to_owned(), image.clone()));
    let named: Vec<(&str, &[u8])> = members.iter().map(|(n, d)| (n.as_str(), d.as_slice())).collect();
    let tar = dir.path().join("a.tar");
    write_foreign_tar(&tar, &named);
    let says = |reader| lines_of(&[&tar], &[reader]).join("\n");
    for (reader, parts) in [
        (Reader::Webdataset, vec!["1 of 7 samples have more than one dot", "1 of 7 samples have no image"]),
        (Reader::OpenClip, vec!["2 of 7 samples have no `txt`", "--train-num-samples", "one shard"]),
        (Reader::Hf, vec!["refuses the dataset", "`width` is text here and integer before", "no jpg"]),
        (Reader::Dali, vec!["no .idx", "different sets of members"]),
        (Reader::Energon, vec!["no .tar.idx", "field map"]),
    ] {
        let lines = says(reader);
        for part in parts {
            assert!(lines.contains(part), "{part} is not in\n{lines}");
        }
    }
    // Our own shards suit everyone, blank captions included.
    let sound = dataset();
    let everyone = [Reader::Webdataset, Reader::Dali, Reader::Energon, Reader::Hf, Reader::OpenClip];
    assert_eq!(lines_of(&[sound.path()], &everyone), Vec::<String>::new());
}

#[test]
fn captions_that_every_reader_drops_are_called_out() {
    let dir = tempfile::tempdir().unwrap();
    let image = jpeg();
    write_foreign_tar(&dir.path().join("a.tar"), &[("0.input.jpg", &image), ("1.output.txt", b"x")]);
    let lines = lines_of(&[&dir.path().join("a.tar")], &[Reader::OpenClip]).join("\n");
    assert!(lines.contains("wait for the first batch forever"), "{lines}");
}

#[test]
fn a_stream_reads_what_the_builder_wrote() {
    let dir = dataset();
    let mut reader = TarReader::open(dir.path().join("00000.tar"), EndMarker::Required).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().key, "000000");
}
