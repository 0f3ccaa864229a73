//! torch's format from before 1.6, which Python's own `pickle.dump` of a tensor still holds a storage in: a magic number,
//! a version, facts of the machine, the value and the list of its storages as five pickles in a row, then the storages
//! themselves, each the number of its numbers and the numbers.

use std::collections::HashMap;
use std::ops::Range;

use super::{Dialect, MachineError, Nesting, Node, Number, Storage, Values, run_at};

/// The first pickle, without its protocol: a whole number of ten bytes.
const MAGIC: [u8; 13] = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// Where the magic number ends, at the latest.
const MAGIC_WITHIN: usize = 32;
/// Bytes of the number before a storage.
const LENGTH_BYTES: usize = 8;

/// Whether a file begins as the old format does.
pub fn is_legacy(program: &[u8]) -> bool {
    let head = program.get(..MAGIC_WITHIN).unwrap_or(program);
    program.first() == Some(&0x80) && head.windows(MAGIC.len()).any(|window| window == MAGIC)
}

/// Runs a file of the old format. Its storages get their places in it.
///
/// # Errors
/// When it is damaged or wants more than plain values and tensors.
pub fn run_legacy(program: &[u8]) -> Result<Values<'_>, MachineError> {
    run_from(program, 0, program.len())
}

/// The one storage of a file of the old format that stands within another pickle.
pub(super) fn storage_in(program: &[u8], range: Range<usize>) -> Result<Storage, MachineError> {
    let inner = program.get(range.clone()).unwrap_or_default();
    if !is_legacy(inner) {
        return Err(MachineError::Damaged("a storage that is not in torch's format"));
    }
    let values = run_from(program, range.start, range.end)?;
    match values.node(values.root) {
        Some(Node::Storage(storage)) => Ok(storage.clone()),
        _ => Err(MachineError::Damaged("a storage that is something else")),
    }
}

/// The file between two bytes of the program.
fn run_from(program: &[u8], start: usize, end: usize) -> Result<Values<'_>, MachineError> {
    let program = program.get(..end).unwrap_or(program);
    let mut at = start;
    let mut next = || {
        let (values, end) = run_at(program, at, Dialect::Torch, Nesting::Inner)?;
        at = end;
        Ok(values)
    };
    let (_magic, _version, machine, mut values, keys) = (next()?, next()?, next()?, next()?, next()?);
    if machine.entry(machine.root, "little_endian").is_some_and(|little| little != super::Value::True) {
        return Err(MachineError::BigEndian);
    }
    let mut described: HashMap<&str, (Number, i64)> = HashMap::new();
    for node in &values.nodes {
        if let Node::Storage(storage) = node {
            described.insert(&storage.key, (storage.number, storage.numel));
        }
    }
    let mut places: HashMap<String, Range<usize>> = HashMap::new();
    for &key in keys.list(keys.root).unwrap_or_default() {
        const CUT: MachineError = MachineError::Damaged("a storage is cut off");
        let key = keys.bytes(key).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        let Some(&(number, numel)) = described.get(key) else {
            return Err(MachineError::Damaged("a storage that no tensor describes"));
        };
        let length = program.get(at..at + LENGTH_BYTES).and_then(|bytes| bytes.try_into().ok()).ok_or(CUT)?;
        let from = at + LENGTH_BYTES;
        let bytes =
            usize::try_from(i64::from_le_bytes(length)).ok().and_then(|n| n.checked_mul(number.width()));
        let to =
            bytes.and_then(|bytes| from.checked_add(bytes)).filter(|to| *to <= program.len()).ok_or(CUT)?;
        if i64::from_le_bytes(length) != numel {
            return Err(MachineError::Damaged("a storage of another length than described"));
        }
        places.insert(key.to_owned(), from..to);
        at = to;
    }
    for node in &mut values.nodes {
        if let Node::Storage(storage) = node {
            storage.place = places.get(&storage.key).cloned();
        }
    }
    Ok(values)
}

impl Number {
    /// Bytes of one.
    const fn width(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}
