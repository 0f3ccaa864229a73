//! Round trips, and that damage of any kind ends in an error or a clean prefix.

use std::io::Read;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::sample::{Member, Sample};

type Members<'a> = &'a [(&'a str, &'a [u8])];

fn write(samples: &[(&str, Members<'_>)]) -> (Vec<u8>, TarIndex) {
    let mut writer = TarWriter::new(Vec::new());
    for (key, members) in samples {
        writer.append(key, members).unwrap();
    }
    writer.finish().unwrap()
}

fn small_tar() -> Vec<u8> {
    write(&[
        ("000000000", &[("txt", b"a red ball"), ("jpg", &[7; 700]), ("json", b"{}")]),
        ("000000001", &[("jpg", &[8; 512]), ("txt", b"")]),
        ("000000003", &[("jpg", &[9; 1])]),
    ])
    .0
}

fn read(bytes: &[u8], end_marker: EndMarker) -> (Vec<Sample>, Option<TarError>) {
    let mut samples = Vec::new();
    let mut error = None;
    for sample in TarReader::with_options(bytes, "t.tar", end_marker) {
        match sample {
            Ok(sample) => samples.push(sample),
            Err(e) => error = Some(e),
        }
    }
    (samples, error)
}

#[test]
fn the_tar_crate_sees_what_the_format_promises() {
    let bytes = small_tar();
    assert_eq!(bytes.len() % 10_240, 0);
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert!(header.as_ustar().is_some());
        assert_eq!((header.mode().unwrap(), header.mtime().unwrap()), (0o444, 0));
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!((header.username(), header.groupname()), (Ok(Some("bigdata")), Ok(Some("bigdata"))));
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        names.push((entry.path().unwrap().to_str().unwrap().to_owned(), data.len()));
    }
    let expected = [
        ("000000000.jpg", 700),
        ("000000000.json", 2),
        ("000000000.txt", 10),
        ("000000001.jpg", 512),
        ("000000001.txt", 0),
        ("000000003.jpg", 1),
    ];
    assert_eq!(names, expected.map(|(name, len)| (name.to_owned(), len)));
}

#[test]
fn the_index_recorded_while_writing_is_the_one_read_back() {
    let big = vec![3; (1 << 20) + 5];
    let (bytes, written) =
        write(&[("a", &[("jpg", &big), ("txt", b"t")]), ("d/b", &[("json", b"{}"), ("jpg", b"x")])]);
    let scanned = scan(&bytes, Path::new("t.tar"), EndMarker::Required).unwrap();
    assert_eq!(written, scanned);
    assert_eq!(scanned.position("d/b"), Some(1));
    let span = scanned.sample(1).unwrap();
    assert_eq!(span.start(), scanned.sample(0).unwrap().end());
    assert_eq!(span.end(), scanned.end());
    let jpg = span.get("jpg").unwrap();
    assert_eq!((jpg.name, &bytes[jpg.offset as usize..][..jpg.size as usize]), ("d/b.jpg", &b"x"[..]));
}

#[test]
fn a_mapped_shard_gives_samples_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000.tar");
    std::fs::write(&path, small_tar()).unwrap();
    let tar = MappedTar::open(&path).unwrap();
    assert_eq!(tar.len(), 3);
    let sample = tar.sample(1).unwrap();
    assert_eq!(
        (sample.key(), sample.image(), sample.caption()),
        ("000000001", Some(("jpg", &[8; 512][..])), Some(&b""[..]))
    );
    assert!(tar.sample(3).is_none());
    let streamed: Vec<_> = TarReader::open(&path, EndMarker::Required).unwrap().map(Result::unwrap).collect();
    assert_eq!(tar.iter().map(|s| s.to_sample()).collect::<Vec<_>>(), streamed);

    std::fs::write(&path, "").unwrap();
    assert_eq!(MappedTar::open(&path).unwrap_err().rule.name(), "no_end_marker");
    let message = MappedTar::open(dir.path().join("none.tar")).unwrap_err().to_string();
    assert!(message.contains("none.tar") && message.contains("cannot read"), "{message}");
}

#[test]
fn cut_at_every_block_gives_an_error_or_a_clean_prefix() {
    let bytes = small_tar();
    let (whole, none) = read(&bytes, EndMarker::Required);
    assert!(none.is_none());
    let index = scan(&bytes, Path::new("t.tar"), EndMarker::Required).unwrap();
    for len in (0..bytes.len()).filter(|len| len % 512 < 2 || len % 512 == 511) {
        check_readers_agree(&bytes[..len]).unwrap();
        let (samples, error) = read(&bytes[..len], EndMarker::Required);
        assert_eq!(samples, whole[..samples.len()], "cut at {len}");
        let whole_end_block = index.end() as usize + 512;
        assert_eq!(error.is_none(), len >= whole_end_block, "cut at {len}: {error:?}");
        if let Some(error) = error {
            assert!(error.offset <= len as u64, "cut at {len}: {error}");
        }
        // Leniently, a cut between members gives what came before, even if a sample misses its last members.
        let (samples, error) = read(&bytes[..len], EndMarker::Optional);
        for (sample, expected) in samples.iter().zip(&whole) {
            assert_eq!(sample.key, expected.key);
            assert_eq!(sample.members, expected.members[..sample.members.len()]);
        }
        if len % 512 != 0 && len < index.end() as usize {
            assert!(error.is_some(), "cut at {len}");
        }
    }
}

#[test]
fn every_changed_header_byte_is_noticed() {
    let bytes = small_tar();
    // Byte 155 is the filler behind the checksum's closing zero.
    for at in (0..512).filter(|at| *at != 155) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let (samples, error) = read(&changed, EndMarker::Required);
        let error = error.unwrap_or_else(|| panic!("byte {at} changed unnoticed"));
        assert!(samples.is_empty() && error.offset == 0, "byte {at}: {error}");
    }
}

/// Deterministic noise for the mutations (SplitMix64).
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Puts a right checksum back, so that mutations reach past that check.
fn seal(bytes: &mut [u8], header: usize) {
    let Some(block) = bytes.get_mut(header..header + 512) else { return };
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn mutated_tars_never_panic_and_both_readers_agree() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tar");
    let mut seeds = vec![small_tar()];
    for entry in std::fs::read_dir(&fixtures).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "tar") {
            seeds.push(std::fs::read(path).unwrap());
        }
    }
    assert!(seeds.len() > 1, "no fixtures in {}", fixtures.display());
    let mut next = noise(1);
    for round in 0..4_000 {
        let mut bytes = seeds[next() as usize % seeds.len()].clone();
        let blocks = bytes.len() / 512;
        for _ in 0..=next() % 3 {
            let header = next() as usize % blocks.min(40) * 512;
            let value = match next() % 4 {
                0 => 0,
                1 => b"0123456789LKgxSXV57\xff\x80"[next() as usize % 21],
                _ => next() as u8,
            };
            // Name, size, type, magic and prefix are where the decisions are.
            let at = match next() % 5 {
                0 => 156,
                1 => 124 + next() as usize % 12,
                2 => next() as usize % 100,
                3 => 257 + next() as usize % 8,
                _ => next() as usize % 512,
            };
            bytes[header + at] = value;
            if !next().is_multiple_of(8) {
                seal(&mut bytes, header);
            }
        }
        if next().is_multiple_of(4) {
            bytes.truncate(next() as usize % bytes.len());
        }
        check_readers_agree(&bytes).unwrap_or_else(|e| panic!("round {round}: {e}"));
    }
}

#[test]
fn names_that_would_not_read_back_are_refused_and_the_tar_goes_on() {
    let mut writer = TarWriter::new(Vec::new());
    let long = "k".repeat(97);
    let cases: [(&str, Members<'_>, &str); 9] = [
        (&long, &[("jpg", b"")], "longer than 100"),
        ("a.b", &[("jpg", b"")], "read back"),
        ("a", &[("JPG", b"")], "read back"),
        ("a", &[("x/y", b"")], "read back"),
        ("a", &[("", b"")], "read back"),
        ("", &[("jpg", b"")], "read back"),
        ("__a", &[("b__", b"")], "read back"),
        ("a", &[], "no members"),
        ("a", &[("jpg", b""), ("jpg", b"")], "two members"),
    ];
    for (key, members, part) in cases {
        let message = writer.append(key, members).unwrap_err().to_string();
        assert!(message.contains(part), "{key}: {message}");
    }
    writer.append("a", &[("jpg", b"1")]).unwrap();
    assert!(writer.append("a", &[("jpg", b"2")]).unwrap_err().to_string().contains("twice in a row"));
    writer.append("b.c/a", &[("jpg", b"3")]).unwrap();
    let (bytes, index) = writer.finish().unwrap();
    assert_eq!((index.len(), read(&bytes, EndMarker::Required).0.len()), (2, 2));
}

/// Takes `left` bytes, then answers every write as a full disk does.
struct Full {
    left: usize,
}

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = bytes.len().min(self.left);
        self.left -= n;
        if n == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_tar_whose_write_failed_cannot_be_finished() {
    for data in [vec![0; 2_000], vec![0; 3 << 20]] {
        let mut writer = TarWriter::new(Full { left: 1_500 });
        assert!(matches!(writer.append("a", &[("jpg", &data)]), Err(TarWriteError::Io(_))));
        assert!(matches!(writer.append("b", &[("jpg", b"")]), Err(TarWriteError::Broken)));
        assert!(matches!(writer.finish(), Err(TarWriteError::Broken)));
    }
}

fn samples() -> impl Strategy<Value = Vec<(String, Vec<Member>)>> {
    let data = prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..40),
        (500usize..540, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        (1_020usize..1_030, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ];
    let members = proptest::collection::btree_map("[a-z0-9]{1,4}(\\.[a-z]{1,3})?", data, 1..5);
    let key = "([a-z.]{1,3}/)?[^./\0]{1,12}";
    let sample = (key, members).prop_map(|(key, members)| {
        (key, members.into_iter().map(|(ext, data)| Member { ext, data }).collect::<Vec<_>>())
    });
    proptest::collection::vec(sample, 0..8).prop_map(|mut samples| {
        samples.dedup_by(|a, b| a.0 == b.0);
        samples
    })
}

proptest! {
    #[test]
    fn written_samples_read_back_whichever_way(samples in samples()) {
        let mut writer = TarWriter::new(Vec::new());
        let mut expected = Vec::new();
        for (key, members) in samples {
            let mut shuffled: Vec<_> = members.iter().map(|m| (m.ext.as_str(), m.data.as_slice())).collect();
            shuffled.reverse();
            writer.append(&key, &shuffled).unwrap();
            expected.push(Sample { key, members });
        }
        let (bytes, index) = writer.finish().unwrap();
        let (streamed, error) = read(&bytes, EndMarker::Required);
        prop_assert!(error.is_none());
        prop_assert_eq!(&streamed, &expected);
        prop_assert_eq!(check_readers_agree(&bytes).unwrap(), Some(expected.len()));
        prop_assert_eq!(scan(&bytes, Path::new("t"), EndMarker::Required).unwrap(), index);
    }

    #[test]
    fn any_bytes_at_all_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        check_readers_agree(&bytes).unwrap();
    }
}
