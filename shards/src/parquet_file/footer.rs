//! The footer, looked at before the parquet crate parses it. The crate reserves memory for as many row groups and fields
//! as the footer says it has, and descends as deep as its schema; here both are compared with what the footer's own
//! bytes can hold. The counts that a footer gives twice must agree.

use parquet::file::metadata::ParquetMetaData;

use super::fault::ParquetFault;
use super::input::ParquetInput;
use super::thrift::{BadHeader, Compact, I32, LIST, STRUCT};
use crate::lookalike::{HEAD_BYTES, Lookalike};

/// Largest footer. That of a table with 30,000 row groups of ten columns has 30 MB.
const MAX_FOOTER_BYTES: usize = 32 << 20;
/// Column chunks in all row groups together; each takes half a kilobyte once parsed.
const MAX_CHUNKS: u64 = 400_000;
/// Row groups; the format numbers them with 16 bits.
const MAX_GROUPS: u64 = 1 << 15;
/// Nodes of the schema, and how deep they may lie.
const MAX_NODES: u64 = 20_000;
const MAX_DEPTH: usize = 64;
/// Widest value of fixed length. Hashes have 32 bytes, embeddings some thousand.
const MAX_FIXED_BYTES: i64 = 64 << 10;

const TAIL_BYTES: u64 = 8;
const MAGIC: &[u8] = b"PAR1";
const ENCRYPTED_MAGIC: &[u8] = b"PARE";

/// The bytes of the footer, once they are known to be harmless.
pub(super) fn read(input: &ParquetInput) -> Result<bytes::Bytes, ParquetFault> {
    let no_parquet = || -> Result<ParquetFault, ParquetFault> {
        let head = input.bytes(0, HEAD_BYTES.min(usize::try_from(input.len()).unwrap_or(usize::MAX)))?;
        Ok(match Lookalike::of(&head).filter(|found| *found != Lookalike::Parquet) {
            Some(found) => ParquetFault::Lookalike(found),
            None if head.is_empty() => ParquetFault::Damaged("the file is empty".to_owned()),
            None if head.starts_with(MAGIC) => {
                ParquetFault::Damaged("the file has no footer; it is cut short, fetch it again".to_owned())
            }
            None => ParquetFault::Damaged("no Parquet file, it has no Parquet footer".to_owned()),
        })
    };
    let Some(tail_at) = input.len().checked_sub(TAIL_BYTES) else { return Err(no_parquet()?) };
    let tail = input.bytes(tail_at, TAIL_BYTES as usize)?;
    match tail.split_first_chunk::<4>() {
        Some((_, ENCRYPTED_MAGIC)) => Err(ParquetFault::Encrypted),
        Some((length, MAGIC)) => {
            let length = u32::from_le_bytes(*length) as usize;
            if length > MAX_FOOTER_BYTES {
                let limit = MAX_FOOTER_BYTES >> 20;
                let reason = format!("a footer of {length} bytes, more than the {limit} MiB that are read");
                return Err(ParquetFault::TooLarge(reason));
            }
            let start = tail_at.checked_sub(length as u64);
            let start = start
                .ok_or_else(|| ParquetFault::Damaged("the footer is longer than the file".to_owned()))?;
            let footer = input.bytes(start, length)?;
            check(&footer)?;
            Ok(footer)
        }
        _ => Err(no_parquet()?),
    }
}

/// Field ids of the format's `FileMetaData`, `SchemaElement` and `RowGroup`.
mod id {
    pub const SCHEMA: i64 = 2;
    pub const ROW_GROUPS: i64 = 4;
    pub const ENCRYPTION: i64 = 8;
    pub const TYPE_LENGTH: i64 = 2;
    pub const NUM_CHILDREN: i64 = 5;
    pub const COLUMNS: i64 = 1;
}

fn check(footer: &[u8]) -> Result<(), ParquetFault> {
    let damaged = |_: BadHeader| ParquetFault::Damaged("the footer is damaged".to_owned());
    let mut compact = Compact(footer);
    let mut last = 0;
    while let Some(field) = compact.field(&mut last).map_err(damaged)? {
        match (field.id, field.kind) {
            (id::SCHEMA, LIST) => check_schema(&mut compact)?,
            (id::ROW_GROUPS, LIST) => check_groups(&mut compact)?,
            // The columns of such a file may be encrypted though its footer is not.
            (id::ENCRYPTION, STRUCT) => return Err(ParquetFault::Encrypted),
            (_, kind) => compact.skip(kind).map_err(damaged)?,
        }
    }
    Ok(())
}

fn check_schema(compact: &mut Compact<&[u8]>) -> Result<(), ParquetFault> {
    let damaged = |_: BadHeader| ParquetFault::Damaged("the footer's schema is damaged".to_owned());
    let (kind, count) = compact.list().map_err(damaged)?;
    if count > MAX_NODES {
        return Err(ParquetFault::TooLarge(format!(
            "a schema of {count} fields, more than the {MAX_NODES} that are read"
        )));
    }
    // Children still to come of each group that is open.
    let mut open: Vec<u64> = Vec::new();
    for seen in 1..=count {
        if kind != STRUCT {
            return Err(damaged(BadHeader));
        }
        let (mut last, mut children) = (0, 0);
        while let Some(field) = compact.field(&mut last).map_err(damaged)? {
            match (field.id, field.kind) {
                (id::NUM_CHILDREN, I32) => {
                    let number = u64::try_from(compact.integer().map_err(damaged)?);
                    children = number
                        .ok()
                        .filter(|number| *number <= count - seen)
                        .ok_or(BadHeader)
                        .map_err(damaged)?;
                }
                (id::TYPE_LENGTH, I32) => {
                    let length = compact.integer().map_err(damaged)?;
                    if length > MAX_FIXED_BYTES {
                        let reason = format!(
                            "a column of {length} bytes a value, more than the {MAX_FIXED_BYTES} that are read"
                        );
                        return Err(ParquetFault::TooLarge(reason));
                    }
                }
                (_, kind) => compact.skip(kind).map_err(damaged)?,
            }
        }
        if let Some(left) = open.last_mut() {
            *left = left.saturating_sub(1);
        }
        if children > 0 {
            open.push(children);
        }
        if open.len() > MAX_DEPTH {
            return Err(ParquetFault::TooLarge(format!("a schema more than {MAX_DEPTH} levels deep")));
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    Ok(())
}

fn check_groups(compact: &mut Compact<&[u8]>) -> Result<(), ParquetFault> {
    let damaged = |_: BadHeader| ParquetFault::Damaged("the footer's row groups are damaged".to_owned());
    let too_many = |what: &str, limit: u64| {
        ParquetFault::TooLarge(format!("more than {limit} {what}; write the file with larger row groups"))
    };
    let (kind, count) = compact.list().map_err(damaged)?;
    if count > MAX_GROUPS {
        return Err(too_many("row groups", MAX_GROUPS));
    }
    let mut chunks = 0_u64;
    for _ in 0..count {
        if kind != STRUCT {
            return Err(damaged(BadHeader));
        }
        let mut last = 0;
        while let Some(field) = compact.field(&mut last).map_err(damaged)? {
            if (field.id, field.kind) != (id::COLUMNS, LIST) {
                compact.skip(field.kind).map_err(damaged)?;
                continue;
            }
            let (element, columns) = compact.list().map_err(damaged)?;
            chunks = chunks.saturating_add(columns);
            if chunks > MAX_CHUNKS {
                return Err(too_many("column chunks", MAX_CHUNKS));
            }
            for _ in 0..columns {
                compact.skip(element).map_err(damaged)?;
            }
        }
    }
    Ok(())
}

/// Rows of the file: what its row groups hold, if the footer and every column chunk say the same.
pub(super) fn count_rows(metadata: &ParquetMetaData) -> Result<u64, ParquetFault> {
    let counted = |count: i64, what: &str| {
        u64::try_from(count)
            .map_err(|_| ParquetFault::Damaged(format!("{what} is {count}; the footer is damaged")))
    };
    let mut rows = 0_u64;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let in_group = counted(group.num_rows(), &format!("the number of rows in row group {number}"))?;
        rows = rows.saturating_add(in_group);
        for column in group.columns() {
            let values = counted(column.num_values(), "the number of values in a column chunk")?;
            // A list without elements is a value too, so a repeated column has no fewer values than rows.
            let agrees = if column.column_descr().max_rep_level() == 0 {
                values == in_group
            } else {
                values >= in_group
            };
            if !agrees {
                return Err(ParquetFault::Contradiction(format!(
                    "row group {number} has {in_group} rows, but column `{}` has {values} values in it",
                    column.column_path().string().escape_debug()
                )));
            }
        }
    }
    let promised = counted(metadata.file_metadata().num_rows(), "the footer's number of rows")?;
    if promised != rows {
        return Err(ParquetFault::Contradiction(format!(
            "the footer says {promised} rows, but the row groups hold {rows}"
        )));
    }
    Ok(rows)
}
