//! A dataset damaged in whatever way is refused in one line that says where, or read for what is left of it: no panic, no
//! picture under a label of another, no memory on a header's word.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use pairmill_datasets::check::{Depth, check};
use pairmill_datasets::{Counts, DatasetConfig, DatasetError, LabelledSet, Part, Picture};
use pairmill_pixels::{Limits, decode_rgb};
use pairmill_world::{Dataset, Form};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::bench::{Bench, expected};

/// Damages a dataset and form.
const CASES: u32 = 96;

fn runner(cases: u32) -> TestRunner {
    // A case costs milliseconds, and what it does is short to read: few steps of shrinking suffice.
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
}

/// What happens to a file.
#[derive(Debug, Clone)]
enum Damage {
    /// It ends early.
    Cut(Index),
    /// A stretch in its middle is gone: lists lose the end of a line and the beginning of another.
    Hole(Index, usize),
    /// Bytes are others.
    Flip(Vec<(Index, u8)>),
    /// It is something else.
    Replace(Vec<u8>),
    /// One of its numbers is another, where it is text.
    Number(Index, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let garbage = (
        prop::sample::select(vec![
            &b""[..],
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"\x1f\x8b\x08\0",
            b"\x80\x02}(",
            b"{\"",
            b"\n",
        ]),
        prop::collection::vec(any::<u8>(), 0..700),
    );
    prop_oneof![
        3 => any::<Index>().prop_map(Damage::Cut),
        2 => (any::<Index>(), 1usize..600).prop_map(|(at, length)| Damage::Hole(at, length)),
        3 => prop::collection::vec((any::<Index>(), 1u8..), 1..8).prop_map(Damage::Flip),
        1 => garbage.prop_map(|(magic, noise)| Damage::Replace([magic, &noise].concat())),
        2 => (
            any::<Index>(),
            prop::sample::select(vec!["7", "255", "99999", "-1", "4294967296", "18446744073709551616", "1e9", ""]),
        )
            .prop_map(|(at, number)| Damage::Number(at, number)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_owned();
        if bytes.is_empty() {
            return damaged;
        }
        match self {
            Self::Cut(at) => damaged.truncate(at.index(bytes.len())),
            Self::Hole(at, length) => {
                let at = at.index(bytes.len());
                damaged.drain(at..(at + length).min(bytes.len()));
            }
            Self::Flip(flips) => flips.iter().for_each(|(at, with)| damaged[at.index(bytes.len())] ^= with),
            Self::Replace(with) => damaged.clone_from(with),
            Self::Number(at, number) => {
                let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
                let starts: Vec<usize> =
                    (0..bytes.len()).filter(|&at| is_digit(at) && (at == 0 || !is_digit(at - 1))).collect();
                if std::str::from_utf8(bytes).is_ok() && !starts.is_empty() {
                    let start = starts[at.index(starts.len())];
                    let end = (start..bytes.len()).find(|&at| !is_digit(at)).unwrap_or(bytes.len());
                    damaged.splice(start..end, number.bytes());
                }
            }
        }
        damaged
    }
}

/// A picture as it was handed out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    name: String,
    label: usize,
    md5: String,
}

/// A dataset whose files are damaged one at a time and put back.
struct Subject {
    bench: Bench,
    lists: Vec<PathBuf>,
    pictures: Vec<PathBuf>,
    truth: BTreeSet<Seen>,
}

impl Subject {
    fn new(dataset: Dataset, form: Form) -> Self {
        let bench = Bench::new(dataset, form, 3, 3);
        let mut files = Vec::new();
        walk(bench.folder.path(), &mut files);
        files.retain(|path| !path.ends_with("truth.json"));
        let is_picture = |path: &PathBuf| {
            let ext = path.extension().unwrap_or_default().to_ascii_lowercase();
            ["jpg", "jpeg", "png"].iter().any(|known| ext == *known)
        };
        let (pictures, lists) = files.into_iter().partition(is_picture);
        let truth = expected(&bench.truth);
        let seen = |((_, name), (label, md5))| Seen { name, label, md5 };
        Self { lists, pictures, truth: truth.into_iter().map(seen).collect(), bench }
    }

    /// Opens what is there and reads and decodes every picture; the message where it is refused.
    fn read(&self) -> Result<Result<BTreeSet<Seen>, String>, TestCaseError> {
        let set = match LabelledSet::open(&self.bench.config()) {
            Ok(set) => set,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut times: BTreeMap<(Part, usize), usize> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let pass = set.visit::<DatasetError>(
            |_, _| true,
            |part, index, picture| {
                *times.entry((part, index)).or_default() += 1;
                let content = match picture {
                    Picture::Encoded(bytes) => {
                        // Whether it decodes is the decoder's business, and that it comes back.
                        let _ = decode_rgb(bytes, &Limits::default());
                        bytes
                    }
                    Picture::Rgb { width, height, pixels } => {
                        assert_eq!(pixels.len(), 3 * width as usize * height as usize);
                        pixels
                    }
                };
                let example = &set.part(part)[index];
                let md5 = Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
                seen.insert(Seen { name: example.name.to_string(), label: example.label as usize, md5 });
                Ok(())
            },
        );
        if let Err(error) = pass {
            return Ok(Err(error.to_string()));
        }
        for part in Part::ALL {
            for (index, example) in set.part(part).iter().enumerate() {
                prop_assert!((example.label as usize) < set.classes.len(), "{example:?}");
                prop_assert_eq!(times.remove(&(part, index)), Some(1), "{:?}", example);
            }
        }
        prop_assert!(times.is_empty());
        Ok(Ok(seen))
    }

    fn check(&self, path: &Path, damage: &Damage) -> Result<(), TestCaseError> {
        let whole = fs::read(path).unwrap();
        let damaged = damage.apply(&whole);
        fs::write(path, &damaged).unwrap();
        let outcome = self.read();
        fs::write(path, &whole).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        match outcome? {
            Err(message) => {
                prop_assert!(!message.contains('\n') && message.len() < 700, "{name}: {message}");
                let root = self.bench.folder.path().to_string_lossy();
                prop_assert!(message.contains(&*root), "{name}: no file is named: {message}");
            }
            // Compressed bytes are held against checksums, and an archive has an end: no part of one is the whole.
            Ok(seen)
                if ["gz", "zip", "tar"].iter().any(|ext| path.extension().is_some_and(|own| own == *ext)) =>
            {
                if matches!(damage, Damage::Cut(_)) || name.ends_with(".gz") {
                    prop_assert_eq!(&seen, &self.truth, "{}", name);
                }
            }
            // Of a list that ends early what is left must say what the whole list says.
            Ok(seen) => {
                if matches!(damage, Damage::Cut(_)) {
                    let bare = |seen: &Seen| (seen.name.clone(), seen.label);
                    let known: BTreeSet<_> = self.truth.iter().map(bare).collect();
                    let other = seen.iter().find(|seen| !known.contains(&bare(seen)));
                    prop_assert!(other.is_none(), "{name}: {other:?}");
                }
            }
        }
        Ok(())
    }
}

/// Regular files; links are not followed.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            walk(&path, files);
        } else if kind.is_file() {
            files.push(path);
        }
    }
}

fn damage_all(form: Form) {
    for &dataset in Dataset::ALL {
        let subject = Subject::new(dataset, form);
        assert_eq!(subject.read().unwrap().as_ref(), Ok(&subject.truth), "{dataset} {form}, whole");
        let which = (0u32..4, any::<Index>());
        let result = runner(CASES).run(&(which, damage()), |((kind, at), damage)| {
            let files =
                if kind == 0 || subject.lists.is_empty() { &subject.pictures } else { &subject.lists };
            let files = if files.is_empty() { &subject.lists } else { files };
            subject.check(at.get::<PathBuf>(files), &damage)
        });
        result.unwrap_or_else(|error| panic!("{dataset} {form}: {error}"));
        assert_eq!(subject.read().unwrap().as_ref(), Ok(&subject.truth), "{dataset} {form}, put back");
    }
}

#[test]
fn damaged_archives_are_refused_or_read_for_what_they_are() {
    damage_all(Form::Archive);
}

#[test]
fn damaged_folders_are_refused_or_read_for_what_they_are() {
    damage_all(Form::Folder);
}

/// A label that is nobody's, wherever in its file it stands, is refused by file and place.
#[test]
fn labels_out_of_range_are_refused_wherever_they_stand() {
    type Relabel = fn(&[u8], Index, u32) -> Vec<u8>;
    const LINES: usize = 9;
    fn word(bytes: &[u8], at: Index, label: u32, skip: usize, of_line: fn(&str, u32) -> String) -> Vec<u8> {
        let text = std::str::from_utf8(bytes).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        assert!(lines.len() >= LINES + skip, "{text}");
        let at = skip + at.index(lines.len() - skip);
        lines[at] = of_line(&lines[at], label);
        (lines.join("\n") + "\n").into_bytes()
    }
    let cases: [(Dataset, &str, &str, Relabel); 7] = [
        (Dataset::Cifar100, "cifar-100-binary/train.bin", "train.bin record ", |bytes, at, label| {
            let mut bytes = bytes.to_owned();
            let record = at.index(bytes.len() / 3074);
            bytes[3074 * record + 1] = (3 + label % 253) as u8;
            bytes
        }),
        (Dataset::Cifar100Python, "cifar-100-python/train", "train record ", |bytes, at, label| {
            let mut bytes = bytes.to_owned();
            let key = bytes.windows(11).position(|window| window == b"fine_labels").unwrap();
            let list = key + bytes[key..].iter().position(|&byte| byte == b'(').unwrap() + 1;
            let place = list + 2 * at.index(LINES);
            assert_eq!(bytes[place], b'K');
            bytes[place + 1] = (3 + label % 253) as u8;
            bytes
        }),
        (Dataset::Pets, "annotations/trainval.txt", "annotations", |bytes, at, label| {
            word(bytes, at, label, 0, |line, label| {
                let mut words: Vec<_> = line.split(' ').map(str::to_owned).collect();
                words[1] = (u64::from(label) + 4).to_string();
                words.join(" ")
            })
        }),
        (Dataset::Real, "real_train.txt", "", |bytes, at, label| {
            word(bytes, at, label, 0, |line, label| {
                format!("{} {}", line.rsplit_once(' ').unwrap().0, u64::from(label) + 3)
            })
        }),
        (Dataset::Cassava, "train.csv", "train.csv line ", |bytes, at, label| {
            word(bytes, at, label, 1, |line, label| {
                format!("{},{}", line.rsplit_once(',').unwrap().0, u64::from(label) + 3)
            })
        }),
        (
            Dataset::CameraTraps,
            "eccv_18_annotation_files/train_annotations.json",
            "train_annotations.json",
            |bytes, at, label| {
                let mut json: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                let annotations = json["annotations"].as_array_mut().unwrap();
                let count = annotations.len();
                annotations[at.index(count)]["category_id"] = (u64::from(label) + 1_000).into();
                json.to_string().into_bytes()
            },
        ),
        (Dataset::Shards, "train-00000.tar", "train-00000.tar sample ", |bytes, at, label| {
            let mut archive = tar::Archive::new(bytes);
            let labels: Vec<usize> = archive
                .entries()
                .unwrap()
                .map(Result::unwrap)
                .filter(|entry| entry.path_bytes().ends_with(b".cls"))
                .map(|entry| entry.raw_file_position() as usize)
                .collect();
            let mut bytes = bytes.to_owned();
            bytes[*at.get(&labels)] = b'3' + (label % 7) as u8;
            bytes
        }),
    ];
    for (dataset, file, place, relabel) in cases {
        let subject = Subject::new(dataset, Form::Folder);
        let path = subject.bench.path(file);
        let whole = fs::read(&path).unwrap();
        let small = prop_oneof![0u32..8, any::<u32>()];
        let result = runner(24).run(&(any::<Index>(), small), |(at, label)| {
            fs::write(&path, relabel(&whole, at, label)).unwrap();
            let outcome = subject.read();
            fs::write(&path, &whole).unwrap();
            match outcome? {
                Ok(_) => Err(TestCaseError::fail("it was accepted")),
                Err(message) => {
                    let root = subject.bench.folder.path().to_string_lossy();
                    prop_assert!(message.contains(&*root) && message.contains(place), "{message}");
                    prop_assert!(!message.contains('\n') && message.len() < 700, "{message}");
                    Ok(())
                }
            }
        });
        result.unwrap_or_else(|error| panic!("{dataset}: {error}"));
    }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn header(name: &str, kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// What lies about its length or asks for a thousand times its own size, through the binary, which may have 1.5 GB: each
/// of these would take more than that.
#[test]
fn lying_lengths_are_refused_in_bounded_memory() {
    const GIB: u64 = 1 << 30;
    // Four of those as one gzip stream after another: some sixteen kB each.
    let zeros = gz(&vec![0; 64 << 20]).repeat(64);
    let name = |kind| [gz(&header("././@LongLink", kind, 4 * GIB)), zeros.clone()].concat();
    let file = |name: &str, size| gz(&header(name, tar::EntryType::Regular, size));
    let jpeg = b"\xff\xd8\xff\xe0";
    let folder = tempfile::tempdir().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["2750/AnnualCrop/1.jpg", "2750/AnnualCrop/2.jpg", "2750/Forest/1.jpg", "2750/Forest/2.jpg"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&[&jpeg[..], &vec![0; 1 << 20]].concat()).unwrap();
    }
    let zip = zip.finish().unwrap().into_inner();
    // Sizes after unpacking, in the local headers and in the directory.
    let lying = |size: u32| {
        let mut zip = zip.clone();
        for at in 0..zip.len() - 30 {
            match &zip[at..at + 4] {
                b"PK\x03\x04" => zip[at + 22..at + 26].copy_from_slice(&size.to_le_bytes()),
                b"PK\x01\x02" => zip[at + 24..at + 28].copy_from_slice(&size.to_le_bytes()),
                _ => {}
            }
        }
        zip
    };
    // A shape of two hundred thousand sides, made once and copied into three thousand arrays of fifteen bytes each.
    let mut shapes = b"\x80\x02](".to_vec();
    shapes.extend(b"K\x01".repeat(200_000));
    shapes.extend(
        b"eq\x000cnumpy.core.multiarray\n_reconstruct\nq\x010cnumpy\ndtype\nU\x02u1\x85Rq\x020U\x01xq\x030",
    );
    shapes.extend(b"h\x01)R(K\x01h\x00h\x02\x89h\x03tb".repeat(3_000));
    shapes.push(b'.');
    let pickled = |program: &[u8]| {
        let header = header("cifar-100-python/train", tar::EntryType::Regular, program.len() as u64);
        gz(&[header, program.to_vec(), vec![0; 512 - program.len() % 512 + 1024]].concat())
    };
    let cases: [(&str, &str, Vec<u8>, &str); 10] = [
        (
            "caltech101",
            "101_ObjectCategories.tar.gz",
            name(tar::EntryType::GNULongName),
            "more than 1048576 bytes",
        ),
        (
            "caltech101",
            "101_ObjectCategories.tar.gz",
            name(tar::EntryType::XHeader),
            "more than 1048576 bytes",
        ),
        (
            "dtd",
            "dtd-r1.0.1.tar.gz",
            file("dtd/labels/train1.txt", 1 << 40),
            "more than the 1073741824 that are read",
        ),
        ("dtd", "dtd-r1.0.1.tar.gz", file("dtd/labels/train1.txt", GIB), "0 of 1073741824 bytes are there"),
        (
            "cifar100",
            "cifar-100-binary.tar.gz",
            file("cifar-100-binary/train.bin", 3074 * 9_000_000),
            "cut off",
        ),
        (
            "cifar100",
            "cifar-100-binary.tar.gz",
            file("cifar-100-binary/train.bin", 3074 << 40),
            "records are more",
        ),
        (
            "cifar100",
            "cifar-100-python.tar.gz",
            pickled(b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7fx."),
            "ends in the",
        ),
        ("cifar100", "cifar-100-python.tar.gz", pickled(&shapes), "over the limit"),
        ("eurosat", "EuroSAT.zip", lying(u32::MAX - 1), "more than the 1073741824 that are read"),
        ("eurosat", "EuroSAT.zip", lying(7), "larger than its declared uncompressed size"),
    ];
    for (kind, file, bytes, said) in cases {
        let root = folder.path().join(kind);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        fs::write(root.join(file), bytes).unwrap();
        let output = Command::new("sh")
            .args(["-c", "ulimit -d 1500000 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "hostile::checks_what_the_environment_names", "--nocapture"])
            .env(CHECKED, format!("{kind}={}", root.display()))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{file}, {said}: {out}{err}");
        let line = out.lines().find(|line| line.contains(said));
        assert!(line.is_some_and(|line| line.contains(file)), "{file}, {said}: {out}{err}");
    }
}

/// Names a dataset and its folder to the process that checks it under a limit of memory.
const CHECKED: &str = "PAIRMILL_TEST_CHECKED";

/// The other half of the test above, in a process of its own: prints what is wrong and ends with 2.
#[test]
fn checks_what_the_environment_names() {
    let Ok(what) = std::env::var(CHECKED) else { return };
    let (kind, root) = what.split_once('=').unwrap();
    let config = DatasetConfig::new(kind.parse().unwrap(), root).with_counts(Counts::Reported);
    let report = check(&config, Depth { checksums: false, decode: true });
    for finding in &report.findings {
        println!("{} {}", finding.what, finding.detail);
    }
    std::process::exit(if report.is_usable { 0 } else { 2 });
}
