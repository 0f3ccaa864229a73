//! CIFAR-100 in both its archives: records of bytes, and Python 2's pickles.

use super::class::Spelling;
use super::package::Pack;
use super::{Dataset, Draft};
use crate::error::Result;

const SIDE: u32 = 32;
const PIXELS: usize = (SIDE * SIDE) as usize;

/// Pictures of a part in an order that mixes the classes.
struct Batch {
    labels: Vec<u8>,
    planes: Vec<u8>,
}

pub(super) fn make(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(100).min(256), Spelling::Underscores);
    let train = batch(draft, "train", draft.count(0, 50_000));
    // A fifth, as there.
    let test = batch(draft, "test", draft.count(0, 50_000).div_ceil(5));
    let names: Vec<String> = draft.truth.classes.clone();
    let coarse = ["things".to_owned(), "other_things".to_owned()];
    if draft.config.dataset == Dataset::Cifar100Python {
        let archive = draft.package("cifar-100-python.tar.gz", Pack::TarGz);
        draft.put(archive, "cifar-100-python/meta", meta_pickle(&names, &coarse));
        draft.put(archive, "cifar-100-python/test", batch_pickle(&test, "testing batch 1 of 1"));
        draft.put(archive, "cifar-100-python/file.txt~", *b"");
        draft.put(archive, "cifar-100-python/train", batch_pickle(&train, "training batch 1 of 1"));
        return Ok(());
    }
    let archive = draft.package("cifar-100-binary.tar.gz", Pack::TarGz);
    let lines = |names: &[String]| names.join("\n") + "\n";
    draft.put(archive, "cifar-100-binary/coarse_label_names.txt", lines(&coarse));
    draft.put(archive, "cifar-100-binary/fine_label_names.txt", lines(&names));
    for (name, batch) in [("test", test), ("train", train)] {
        let mut bytes = Vec::with_capacity(batch.labels.len() * (2 + 3 * PIXELS));
        for (label, planes) in batch.labels.iter().zip(batch.planes.chunks(3 * PIXELS)) {
            bytes.extend([label % 2, *label]);
            bytes.extend(planes);
        }
        draft.put(archive, format!("cifar-100-binary/{name}.bin"), bytes);
    }
    Ok(())
}

fn batch(draft: &mut Draft<'_>, part: &'static str, per_class: usize) -> Batch {
    let classes = draft.classes.len();
    let mut batch = Batch { labels: Vec::new(), planes: Vec::new() };
    let mut one: Option<Vec<u8>> = None;
    for number in 0..per_class {
        for turn in 0..classes {
            let label = (turn * 7 + number) % classes;
            // Coprime steps visit every class once only where 7 does not divide their number.
            let label = if classes.is_multiple_of(7) { turn } else { label };
            let rgb = match &one {
                Some(rgb) => rgb.clone(),
                None => draft.plan(label, part, number, [SIDE, SIDE]).pixels().rgb,
            };
            let name = format!("{part}/{:05}", batch.labels.len());
            draft.expect(part, name, label, &rgb);
            batch.labels.push(label as u8);
            for channel in 0..3 {
                batch.planes.extend(rgb.iter().skip(channel).step_by(3));
            }
            if draft.config.real_size {
                one = Some(rgb);
            }
        }
    }
    batch
}

/// What Python 2's `cPickle.dump(_, _, 2)` writes: byte strings for text, a memo entry after each new object.
struct Pickle {
    bytes: Vec<u8>,
    memo: u32,
}

impl Pickle {
    fn new() -> Self {
        Self { bytes: vec![0x80, 2], memo: 0 }
    }

    fn remember(&mut self) {
        self.memo += 1;
        match u8::try_from(self.memo) {
            Ok(index) => self.bytes.extend([b'q', index]),
            Err(_) => {
                self.bytes.push(b'r');
                self.bytes.extend(self.memo.to_le_bytes());
            }
        }
    }

    fn string(&mut self, text: &[u8]) {
        match u8::try_from(text.len()) {
            Ok(length) => self.bytes.extend([b'U', length]),
            Err(_) => {
                self.bytes.push(b'T');
                self.bytes.extend((text.len() as u32).to_le_bytes());
            }
        }
        self.bytes.extend(text);
        self.remember();
    }

    fn dict(&mut self) {
        self.bytes.push(b'}');
        self.remember();
        self.bytes.push(b'(');
    }

    /// Appends come in batches of a thousand.
    fn list(&mut self, count: usize, mut item: impl FnMut(&mut Self, usize)) {
        self.bytes.push(b']');
        self.remember();
        for start in (0..count).step_by(1_000) {
            self.bytes.push(b'(');
            for index in start..count.min(start + 1_000) {
                item(self, index);
            }
            self.bytes.push(b'e');
        }
    }

    fn labels(&mut self, labels: impl Iterator<Item = u8>) {
        let labels: Vec<u8> = labels.collect();
        self.list(labels.len(), |pickle, index| pickle.bytes.extend([b'K', labels[index]]));
    }

    fn strings(&mut self, strings: &[String]) {
        self.list(strings.len(), |pickle, index| pickle.string(strings[index].as_bytes()));
    }

    /// A matrix of bytes as NumPy pickles itself.
    fn array(&mut self, rows: usize, columns: usize, data: &[u8]) {
        self.bytes.extend(b"cnumpy.core.multiarray\n_reconstruct\n");
        self.remember();
        self.bytes.extend(b"cnumpy\nndarray\n");
        self.remember();
        self.bytes.extend(b"K\0\x85");
        self.remember();
        self.string(b"b");
        self.bytes.push(0x87);
        self.remember();
        self.bytes.push(b'R');
        self.remember();
        self.bytes.extend(b"(K\x01");
        for side in [rows, columns] {
            self.bytes.push(b'J');
            self.bytes.extend((side as i32).to_le_bytes());
        }
        self.bytes.push(0x86);
        self.remember();
        self.bytes.extend(b"cnumpy\ndtype\n");
        self.remember();
        self.string(b"u1");
        self.bytes.extend(b"K\0K\x01\x87");
        self.remember();
        self.bytes.push(b'R');
        self.remember();
        self.bytes.extend(b"(K\x03");
        self.string(b"|");
        self.bytes.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t");
        self.remember();
        self.bytes.extend(b"b\x89");
        self.string(data);
        self.bytes.push(b't');
        self.remember();
        self.bytes.push(b'b');
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(b"u.");
        self.bytes
    }
}

fn batch_pickle(batch: &Batch, name: &str) -> Vec<u8> {
    let mut pickle = Pickle::new();
    pickle.dict();
    pickle.string(b"filenames");
    let names: Vec<_> = (0..batch.labels.len()).map(|index| format!("bos_taurus_s_{index:06}.png")).collect();
    pickle.strings(&names);
    pickle.string(b"batch_label");
    pickle.string(name.as_bytes());
    pickle.string(b"fine_labels");
    pickle.labels(batch.labels.iter().copied());
    pickle.string(b"coarse_labels");
    pickle.labels(batch.labels.iter().map(|label| label % 2));
    pickle.string(b"data");
    pickle.array(batch.labels.len(), 3 * PIXELS, &batch.planes);
    pickle.finish()
}

fn meta_pickle(fine: &[String], coarse: &[String]) -> Vec<u8> {
    let mut pickle = Pickle::new();
    pickle.dict();
    pickle.string(b"fine_label_names");
    pickle.strings(fine);
    pickle.string(b"coarse_label_names");
    pickle.strings(coarse);
    pickle.finish()
}
