//! CIFAR-100 (Krizhevsky 2009), both archives: `cifar-100-binary.tar.gz` with `train.bin`, `test.bin` (records of one
//! coarse and one fine label byte and 3072 bytes of pixels: red, green, blue plane of 32×32) and
//! `fine_label_names.txt`; and `cifar-100-python.tar.gz` with the pickles `train`, `test`, `meta`, whose `data` holds the
//! same pixels. Where both lie, the binary one is read. Labels are the fine ones; their names are alphabetical.

mod pickled;

use super::assembly::Assembly;
use super::config::DatasetConfig;
use super::error::DatasetError;
use super::list::lines;
use super::set::{LabelledSet, Part, Place, RecordFile};
use super::tree::{Choice, Member, Search, Tree, Visitor};

const SIDE: u32 = 32;
const LABEL_BYTES: usize = 2;
const RECORD_BYTES: usize = LABEL_BYTES + 3 * (SIDE as usize) * (SIDE as usize);
/// Most records a file may hold.
const MAX_RECORDS: u64 = 10_000_000;
/// Largest file of names; the real one has 2 kB.
const MAX_NAMES_BYTES: u64 = 1 << 20;

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let within = &["cifar-100", "cifar100"];
    let binary = Search {
        within,
        folders: &["cifar-100-binary"],
        archives: &["cifar-100-binary.tar.gz"],
        marks: &["train.bin", "test.bin"],
    };
    let python = Search {
        within,
        folders: &["cifar-100-python"],
        archives: &["cifar-100-python.tar.gz"],
        marks: &["train", "test", "meta"],
    };
    let tree = match binary.find(&config.root)? {
        Some(tree) => tree,
        None => python.find(&config.root)?.ok_or_else(|| {
            let what = "CIFAR-100 not found: neither cifar-100-binary.tar.gz nor cifar-100-python.tar.gz, nor what they unpack to";
            DatasetError::missing(&config.root, what)
        })?,
    };
    let mut found = Found::default();
    tree.visit(&mut found)?;
    let names = found.names.ok_or_else(|| {
        DatasetError::missing(
            tree.path(),
            "the names are not in it: fine_label_names.txt, or the pickle meta",
        )
    })?;
    let mut set = Assembly::new(config, names);
    for (part, file) in [(Part::Train, found.train), (Part::Test, found.test)] {
        let file = file.ok_or_else(|| {
            let part = part.as_str();
            let what = format!("the split file {part}.bin, or the pickle {part}, is not in it");
            DatasetError::missing(tree.path(), what)
        })?;
        add(&mut set, &tree, part, file)?;
    }
    set.with_tree(tree).finish("it", "")
}

/// A file of records and the fine label of each.
struct Records {
    name: String,
    start: u64,
    label_bytes: usize,
    labels: Vec<u32>,
}

fn add(set: &mut Assembly<'_>, tree: &Tree, part: Part, records: Records) -> Result<(), DatasetError> {
    let file = set.stores.records.len() as u32;
    for (&label, index) in records.labels.iter().zip(0..) {
        if label as usize >= set.classes.len() {
            let rule = format!("fine label {label} is out of range; there are {} names", set.classes.len());
            return Err(DatasetError::wrong(format!("{} record {index}", tree.file(&records.name)), rule));
        }
        set.add(part, label, format!("{}/{index:05}", part.as_str()), Place::Record { file, index });
    }
    let Records { name, start, label_bytes, .. } = records;
    set.stores.records.push(RecordFile { tree: 0, name, start, labels: label_bytes, side: SIDE });
    Ok(())
}

/// What of the archive is read at once: names and labels.
#[derive(Default)]
struct Found {
    train: Option<Records>,
    test: Option<Records>,
    names: Option<Vec<String>>,
}

impl Visitor for Found {
    type Error = DatasetError;

    fn choose(&mut self, name: &str, _size: u64) -> Choice {
        match name.rsplit('/').next() {
            Some("train.bin" | "test.bin" | "fine_label_names.txt" | "train" | "test" | "meta") => {
                Choice::Read
            }
            _ => Choice::Skip,
        }
    }

    fn take(&mut self, member: &mut Member<'_>) -> Result<(), DatasetError> {
        match member.name.rsplit('/').next() {
            Some("train.bin") => self.train = Some(binary_labels(member)?),
            Some("test.bin") => self.test = Some(binary_labels(member)?),
            Some("train") => {
                self.train = Some(pickled::records(member.name, &member.file(), &member.bytes()?)?);
            }
            Some("test") => {
                self.test = Some(pickled::records(member.name, &member.file(), &member.bytes()?)?);
            }
            Some("meta") => self.names = Some(pickled::names(&member.file(), &member.bytes()?)?),
            _ => {
                let file = member.file();
                if member.size > MAX_NAMES_BYTES {
                    let rule = format!("{} bytes are no list of names", member.size);
                    return Err(DatasetError::wrong(file, rule));
                }
                let names = lines(&file, &member.bytes()?)?.map(|(_, name)| name.to_owned()).collect();
                self.names = Some(names);
            }
        }
        Ok(())
    }
}

fn binary_labels(member: &mut Member<'_>) -> Result<Records, DatasetError> {
    let records = member.size / RECORD_BYTES as u64;
    if !member.size.is_multiple_of(RECORD_BYTES as u64) {
        let rule = format!("{} bytes are no whole number of records of {RECORD_BYTES}", member.size);
        return Err(DatasetError::wrong(member.file(), rule));
    }
    if records > MAX_RECORDS {
        let rule = format!("{records} records are more than the {MAX_RECORDS} that are read");
        return Err(DatasetError::wrong(member.file(), rule));
    }
    let mut record = [0; RECORD_BYTES];
    let mut labels = Vec::new();
    for _ in 0..records {
        member.read_exact(&mut record)?;
        labels.push(u32::from(record[1]));
    }
    Ok(Records { name: member.name.to_owned(), start: 0, label_bytes: LABEL_BYTES, labels })
}
