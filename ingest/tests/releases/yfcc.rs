//! The world's release through the reader: exact rows, exact counts; and damaged files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use pairmill_world::{Quirk, Release};
use serde_json::Value;

use arrow::array::RecordBatch;
use pairmill_ingest::yfcc::{JoinOn, YfccConfig, YfccCounters, YfccError, YfccReader};

use crate::written::Written;

const ROWS: u64 = 780;

fn config(written: &Written) -> YfccConfig {
    YfccConfig {
        dataset: written.path("yfcc100m_dataset.bz2"),
        subset: Some(written.path("yfcc100m_subset_data.tsv.bz2")),
        ..YfccConfig::default()
    }
}

fn read(config: &YfccConfig) -> Result<(Vec<RecordBatch>, YfccCounters), YfccError> {
    let mut reader = YfccReader::open(config)?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch(50)? {
        assert!(batch.num_rows() <= 50);
        batches.push(batch);
    }
    assert!(reader.next_batch(50)?.is_none(), "the end stays the end");
    Ok((batches, reader.counters()))
}

fn assert_rows(batches: &[RecordBatch], expected: &[&Value]) {
    let mut at = 0;
    for batch in batches {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let truth = expected[at];
            let text = |column: &str| {
                let cells = batch.column_by_name(column).unwrap().as_string::<i32>();
                if cells.is_valid(row) { cells.value(row).to_owned() } else { String::new() }
            };
            assert_eq!(ids.value(row), truth["photo_id"].as_i64().unwrap());
            for column in ["title", "description", "caption", "url"] {
                assert_eq!(text(column), truth[column].as_str().unwrap(), "{truth}");
            }
            at += 1;
        }
    }
    assert_eq!(at, expected.len());
}

#[test]
fn every_photo_comes_with_its_text_decoded_and_every_video_is_counted() {
    for release in [Release::Yfcc, Release::Yfcc23] {
        let written = Written::new(release, ROWS);
        let (batches, counters) = read(&YfccConfig { subset: None, ..config(&written) }).unwrap();
        assert_rows(&batches, &written.rows(&[], &[Quirk::Video]));
        let expected = YfccCounters {
            lines: ROWS,
            unlisted: 0,
            videos: written.count(Quirk::Video),
            rows: ROWS - written.count(Quirk::Video),
            blank: written.rows(&[Quirk::TextEmpty], &[Quirk::Video]).len() as u64,
            not_utf8: written.count(Quirk::PercentNotUtf8),
            missing: 0,
        };
        assert!(expected.videos > 0 && expected.blank > 0 && expected.not_utf8 > 0);
        assert_eq!(counters, expected, "{release}");
    }
}

#[test]
fn the_list_is_joined_on_line_number_or_photo_id_in_both_layouts() {
    for release in [Release::Yfcc, Release::Yfcc23] {
        let written = Written::new(release, ROWS);
        let listed = written.rows(&[Quirk::Listed], &[]);
        assert!(listed.len() > 50);
        for join in [JoinOn::Line, JoinOn::PhotoId] {
            let (batches, counters) = read(&YfccConfig { join, ..config(&written) }).unwrap();
            assert_rows(&batches, &listed);
            assert_eq!((counters.rows, counters.missing), (listed.len() as u64, 0));
            assert_eq!(counters.unlisted, ROWS - listed.len() as u64);
        }
    }
}

/// The SQLite release: the 23 columns of the first text release, under the names it gives them.
fn database(written: &Written) -> PathBuf {
    let mut text = String::new();
    let packed = fs::File::open(written.path("yfcc100m_dataset.bz2")).unwrap();
    std::io::Read::read_to_string(&mut bzip2::read::MultiBzDecoder::new(packed), &mut text).unwrap();
    let path = written.path("yfcc100m_dataset.sql");
    let mut connection = rusqlite::Connection::open(&path).unwrap();
    let names = "photoid, uid, unickname, datetaken, dateuploaded, capturedevice, title, description, usertags, \
                 machinetags, longitude, latitude, accuracy, pageurl, downloadurl, licensename, licenseurl, serverid, \
                 farmid, secret, secretoriginal, ext, marker";
    let columns = names.replacen("photoid", "photoid INTEGER", 1).replace("marker", "marker INTEGER");
    connection.execute_batch(&format!("CREATE TABLE yfcc100m_dataset ({columns})")).unwrap();
    let transaction = connection.transaction().unwrap();
    let places = vec!["?"; 23].join(", ");
    for line in text.lines() {
        let fields = rusqlite::params_from_iter(line.split('\t'));
        transaction.execute(&format!("INSERT INTO yfcc100m_dataset VALUES ({places})"), fields).unwrap();
    }
    transaction.commit().unwrap();
    path
}

#[test]
fn the_sqlite_release_gives_the_rows_of_the_text() {
    let written = Written::new(Release::Yfcc23, ROWS);
    let dataset = database(&written);
    let all = YfccConfig { dataset: dataset.clone(), ..YfccConfig::default() };
    let (batches, counters) = read(&all).unwrap();
    assert_rows(&batches, &written.rows(&[], &[Quirk::Video]));
    assert_eq!((counters.lines, counters.videos), (ROWS, written.count(Quirk::Video)));
    // It has no line numbers, so the list is joined on the photo id whatever is asked for.
    let (batches, counters) = read(&YfccConfig { dataset, ..config(&written) }).unwrap();
    assert_rows(&batches, &written.rows(&[Quirk::Listed], &[]));
    assert_eq!(counters.missing, 0);
}

#[test]
fn a_damaged_or_foreign_database_is_named() {
    let written = Written::new(Release::Yfcc23, ROWS);
    let whole = fs::read(database(&written)).unwrap();
    let with = |dataset: PathBuf| message(&YfccConfig { dataset, ..YfccConfig::default() });
    let dir = written.dir.path();
    let text = with(write(dir, "cut.sql", &whole[..whole.len() / 2]));
    assert!(
        text.contains("cut.sql: not readable as YFCC100M's SQLite release") && text.ends_with("again"),
        "{text}"
    );
    let other = dir.join("other.sql");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(with(other).contains("it has no table yfcc100m_dataset"));
}

#[test]
fn skipped_rows_are_the_ones_that_would_have_come() {
    let written = Written::new(Release::Yfcc, ROWS);
    let mut reader = YfccReader::open(&config(&written)).unwrap();
    assert_eq!(reader.skip(20).unwrap(), 20);
    let rest = reader.next_batch(usize::MAX).unwrap().unwrap();
    assert_rows(&[rest], &written.rows(&[Quirk::Listed], &[])[20..]);
}

#[test]
fn a_list_longer_than_the_file_is_counted_as_missing() {
    let written = Written::new(Release::Yfcc, ROWS);
    let list = written.dir.path().join("list.tsv");
    fs::write(&list, "0\t2000000000\tx\n5000000\t77\ty\n5000000\t77\ty\n").unwrap();
    let (_, counters) = read(&YfccConfig { subset: Some(list), ..config(&written) }).unwrap();
    assert_eq!((counters.rows, counters.missing), (1, 1));
}

fn message(config: &YfccConfig) -> String {
    read(config).unwrap_err().to_string()
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn damaged_files_are_named_with_line_and_fix() {
    let written = Written::new(Release::Yfcc, ROWS);
    let dir = written.dir.path();
    let whole = fs::read(config(&written).dataset).unwrap();
    let with = |dataset: PathBuf| YfccConfig { dataset, subset: None, ..YfccConfig::default() };

    let cut = write(dir, "cut.bz2", &whole[..whole.len() / 2]);
    let text = message(&with(cut));
    assert!(
        text.contains("cut.bz2: broken bzip2 data after line") && text.ends_with("fetch it again"),
        "{text}"
    );
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    assert!(message(&with(write(dir, "flipped.bz2", &flipped))).contains("broken bzip2 data"));
    assert!(message(&with(write(dir, "empty.bz2", b""))).contains("empty.bz2: the file is empty"));
    assert!(message(&with(dir.join("none.bz2"))).contains("none.bz2: cannot read"));

    let text = message(&with(write(dir, "url_caption.tsv", b"http://x/1.jpg\ta dog\n")));
    assert!(text.contains("line 1 has 2 tab-separated columns, not 25"), "{text}");
    let line = [&b"0"[..]; 25].join(&b'\t');
    let ragged = [&line[..], &line[..line.len() - 2], b""].join(&b'\n');
    let text = message(&with(write(dir, "ragged.tsv", &ragged)));
    assert!(
        text.contains("ragged.tsv: line 2 has 24 tab-separated columns, not 25 like the first"),
        "{text}"
    );
    let header = [&b"name"[..]; 25].join(&b'\t');
    let text = message(&with(write(dir, "header.tsv", &header)));
    assert!(
        text.contains("line 1: the photo id is `name`, not a number; the file must not have a header"),
        "{text}"
    );
}

#[test]
fn a_wrong_list_is_refused_not_joined() {
    let written = Written::new(Release::Yfcc, ROWS);
    let dir = written.dir.path();
    let with = |bytes: &[u8]| {
        message(&YfccConfig { subset: Some(write(dir, "list.tsv", bytes)), ..config(&written) })
    };
    let text = with(b"3\t12345\tx\n");
    assert!(
        text.contains("line number 3 is photo 2000000021, but") && text.contains("lists photo 12345 there"),
        "{text}"
    );
    assert!(with(b"9999999999\t1\tx\n").contains("line 1 lists line number 9999999999"));
    assert!(with(b"1\n").contains("list.tsv: line 1 has 1 tab-separated columns, not 3"));
    assert!(with(b"").contains("list.tsv: the file is empty"));
    // Beyond the entries that are compared one by one, the sum tells.
    let mut long = String::new();
    for line in 0..5_000u64 {
        long.push_str(&format!("{}\t{}\tx\n", line + 1_000, line));
    }
    let mut dataset = fs::File::create(dir.join("long.tsv")).unwrap();
    for line in 0..6_000u64 {
        let photo = line.wrapping_sub(1_000) + u64::from(line == 5_999);
        let fields = [line.to_string(), photo.to_string()].into_iter().chain((2..25).map(|_| String::new()));
        writeln!(dataset, "{}", fields.collect::<Vec<_>>().join("\t")).unwrap();
    }
    let list = write(dir, "long_list.tsv", long.as_bytes());
    let config = YfccConfig { dataset: dir.join("long.tsv"), subset: Some(list), ..YfccConfig::default() };
    assert!(message(&config).contains("the photo ids at the listed line numbers are not those of"));
}

#[test]
fn raw_bytes_that_are_no_utf8_are_mended() {
    let dir = tempfile::tempdir().unwrap();
    let mut fields = vec![b"7".to_vec(); 25];
    fields[8] = b"caf\xe9".to_vec();
    fields[16] = b"http://x/\xff.jpg".to_vec();
    let path = write(dir.path(), "y.tsv", &fields.join(&b'\t'));
    let (batches, counters) = read(&YfccConfig { dataset: path, ..YfccConfig::default() }).unwrap();
    assert_eq!(counters.not_utf8, 1);
    assert_eq!(batches[0].column_by_name("caption").unwrap().as_string::<i32>().value(0), "caf\u{fffd} 7");
}
