//! JSON tables that are one object, in the forms pandas writes (`DataFrame.to_json`) and SBU is released in:
//!
//! ```text
//! {"url": {"0": …, "1": …}, "caption": {"0": …}}            columns by key: pandas' default
//! {"image_urls": […, …], "captions": […, …]}                columns as arrays: SBU
//! {"0": {"url": …, "caption": …}, "1": {…}}                 rows by key: orient="index"
//! {"columns": ["url", …], "data": [["http…", …], …]}        rows as arrays: orient="split"
//! {"schema": {…}, "data": [{"url": …}, …]}                  rows as objects: orient="table"
//! ```
//!
//! A column is not loaded either. One pass finds where each begins; then every wanted column is read by a reader of its
//! own, all of them a value a row, and what they give is put together as one object.

use std::sync::Arc;

use super::walk::{Scan, Walk};
use crate::table::columns::rank;
use crate::table::error::TableError;
use crate::table::text::{Text, TextSource};

/// Columns that an object may have. Rows by key have as many members as rows, but are told by the first.
const MAX_MEMBERS: usize = 10_000;
/// Bytes of the list of columns of `orient="split"`.
const MAX_SPLIT_NAMES: usize = 1 << 20;
const HINT: &str = "; the values of a table must be small";
pub(super) const SHAPES: &str = "a json table is one array of objects, or one object of columns as pandas writes it; for an object per \
                                 line give --input-format jsonl";

/// How the one object of a file is laid out.
pub(super) enum Layout {
    /// By columns.
    Columns(ColumnLayout),
    /// Each member is a row.
    Rows,
    /// The member `data` is an array of objects.
    Table,
}

/// Where the values of a file of columns lie.
pub(super) enum ColumnLayout {
    /// Each member is a column.
    Columns { members: Vec<Member>, keyed: bool },
    /// The member `data` is an array of arrays, with these columns.
    Split { names: Vec<String>, at: u64, line: u64 },
}

/// A member of the object.
pub(super) struct Member {
    /// As it stands in the file, escapes and all.
    raw: Vec<u8>,
    name: String,
    /// Where its value begins.
    at: u64,
    line: u64,
    first: u8,
}

/// Reads the object's layout, from its `{` on.
pub(super) fn layout(walk: &mut Walk) -> Result<Layout, TableError> {
    walk.consume(1);
    let mut members: Vec<Member> = Vec::new();
    let mut split_names = None;
    while let Some(raw) = walk.next_member()? {
        let first = walk.expect_solid()?;
        let name = text_of(&raw);
        let (at, line) = (walk.offset, walk.line);
        if members.is_empty() && first == b'{' && is_number(&name) && !first_key_is_number(walk)? {
            return Ok(Layout::Rows);
        }
        members.push(Member { raw, name, at, line, first });
        let last = members.len() - 1;
        if members.len() > MAX_MEMBERS {
            return Err(walk.malformed(format!("an object of more than {MAX_MEMBERS} members; {SHAPES}")));
        }
        if first == b'[' && members[last].name == "columns" {
            let mut list = Vec::new();
            walk.take_value(&mut list, HINT)?;
            split_names = (list.len() <= MAX_SPLIT_NAMES)
                .then(|| serde_json::from_slice::<Vec<serde_json::Value>>(&list).ok())
                .flatten();
        } else if members[last].at == walk.offset {
            walk.skip_value()?;
        } else {
            // The first key was looked at; the rest of the object follows.
            skip_rest(walk)?;
        }
    }
    if walk.next_solid()?.is_some() {
        return Err(
            walk.malformed("there is more after the end of the object; a json table is one object or array")
        );
    }
    let member =
        |name: &str, first: u8| members.iter().find(|member| member.name == name && member.first == first);
    if let (Some(names), Some(data)) = (&split_names, member("data", b'[')) {
        let names =
            names.iter().map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned)).collect();
        return Ok(Layout::Columns(ColumnLayout::Split { names, at: data.at, line: data.line }));
    }
    if member("schema", b'{').is_some() && member("data", b'[').is_some() {
        return Ok(Layout::Table);
    }
    let all = |first: u8| !members.is_empty() && members.iter().all(|member| member.first == first);
    match (all(b'{'), all(b'[')) {
        (keyed, arrays) if keyed || arrays => Ok(Layout::Columns(ColumnLayout::Columns { members, keyed })),
        _ => {
            walk.line = 1;
            Err(walk.malformed(SHAPES))
        }
    }
}

/// Whether an object's first key, read and passed over, is a number, as a row's is; true of an empty object.
fn first_key_is_number(walk: &mut Walk) -> Result<bool, TableError> {
    walk.consume(1);
    match walk.expect_solid()? {
        b'"' => Ok(is_number(&text_of(&walk.take_name()?))),
        _ => Ok(true),
    }
}

/// From inside an object to behind it.
fn skip_rest(walk: &mut Walk) -> Result<(), TableError> {
    loop {
        match walk.expect_solid()? {
            b'}' => {
                walk.consume(1);
                return Ok(());
            }
            b':' | b',' => walk.consume(1),
            _ => walk.skip_value()?,
        }
    }
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// A string without its quotes, escapes undone.
fn text_of(raw: &[u8]) -> String {
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_else(|_| String::from_utf8_lossy(raw).into_owned())
}

/// The records of a file of columns.
pub(super) struct ColumnRecords {
    /// Every column of the file.
    pub(super) names: Vec<String>,
    kind: Kind,
    ended: bool,
}

enum Kind {
    Columns { columns: Vec<Column>, keyed: bool },
    Split { walk: Box<Walk>, begun: bool },
}

struct Column {
    raw_name: Vec<u8>,
    name: String,
    wanted: bool,
    walk: Walk,
    begun: bool,
}

impl ColumnRecords {
    /// Opens the columns that answer to one of `wanted`. Bytes are counted by the first.
    pub(super) fn open(
        source: &TextSource,
        layout: ColumnLayout,
        wanted: &[String],
        consumed: &Arc<std::sync::atomic::AtomicU64>,
    ) -> Result<Self, TableError> {
        let open_at = |at, line, counted| -> Result<Walk, TableError> {
            let count = if counted { consumed.clone() } else { Arc::default() };
            Ok(Walk { line, ..Walk::new(Text::open_at(source, at, count)?) })
        };
        match layout {
            ColumnLayout::Split { names, at, line } => {
                let kind = Kind::Split { walk: Box::new(open_at(at, line, true)?), begun: false };
                Ok(Self { names, kind, ended: false })
            }
            ColumnLayout::Columns { members, keyed } => {
                let names: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
                let is_wanted =
                    |member: &Member| wanted.iter().any(|name| rank(name, &member.name).is_some());
                let any = members.iter().any(is_wanted);
                let mut columns = Vec::new();
                for member in members {
                    let wanted = is_wanted(&member);
                    // Without any the first column says how many rows there are.
                    if wanted || (!any && columns.is_empty()) {
                        let walk = open_at(member.at, member.line, columns.is_empty())?;
                        columns.push(Column {
                            raw_name: member.raw,
                            name: member.name,
                            wanted,
                            walk,
                            begun: false,
                        });
                    }
                }
                Ok(Self { names, kind: Kind::Columns { columns, keyed }, ended: false })
            }
        }
    }

    /// Line on which the next value of the first column begins.
    pub(super) fn line(&self) -> u64 {
        match &self.kind {
            Kind::Columns { columns, .. } => columns.first().map_or(1, |column| column.walk.line),
            Kind::Split { walk, .. } => walk.line,
        }
    }

    /// Puts the next record together in `raw`, as an object; `false` at the end.
    pub(super) fn next(&mut self, raw: &mut Vec<u8>) -> Result<bool, TableError> {
        if self.ended {
            return Ok(false);
        }
        let more = match &mut self.kind {
            Kind::Split { walk, begun } => {
                let mut row = Vec::new();
                let more = next_value(walk, begun, false, &mut row)?.0;
                object_of(&row, &self.names, raw);
                more
            }
            Kind::Columns { columns, keyed } => next_row(columns, *keyed, raw)?,
        };
        self.ended = !more;
        Ok(more)
    }
}

fn next_row(columns: &mut [Column], keyed: bool, raw: &mut Vec<u8>) -> Result<bool, TableError> {
    let mut of_first: Option<(bool, Vec<u8>)> = None;
    let mut value = Vec::new();
    raw.push(b'{');
    for at in 0..columns.len() {
        let column = &mut columns[at];
        value.clear();
        let found = next_value(&mut column.walk, &mut column.begun, keyed, &mut value)?;
        if let Some(of_first) = &of_first
            && *of_first != found
        {
            let name = |column: &Column| column.name.escape_debug().to_string();
            let (first, this) = (name(&columns[0]), name(&columns[at]));
            let what = if of_first.0 == found.0 { "have other keys" } else { "have other numbers of rows" };
            return Err(columns[at]
                .walk
                .malformed(format!("the columns `{first}` and `{this}` {what}; write the table again")));
        }
        if column.wanted {
            if raw.len() > 1 {
                raw.push(b',');
            }
            raw.extend([b"\"", column.raw_name.as_slice(), b"\":", value.as_slice()].concat());
        }
        of_first.get_or_insert(found);
    }
    raw.push(b'}');
    Ok(of_first.is_some_and(|(more, _)| more))
}

/// The next value of an array or, with its key, of an object, and whether there was one.
fn next_value(
    walk: &mut Walk,
    begun: &mut bool,
    keyed: bool,
    value: &mut Vec<u8>,
) -> Result<(bool, Vec<u8>), TableError> {
    let end = if keyed { b'}' } else { b']' };
    if !*begun {
        walk.expect_solid()?;
        walk.consume(1);
    }
    let mut found = walk.expect_solid()?;
    if found == end {
        return Ok((false, Vec::new()));
    }
    if *begun {
        if found != b',' {
            return Err(walk.malformed("expected `,` or the end after a value of the column"));
        }
        walk.consume(1);
        found = walk.expect_solid()?;
        if found == end || found == b',' {
            return Err(walk.malformed("a value is missing after `,`"));
        }
    }
    *begun = true;
    let mut key = Vec::new();
    if keyed {
        if found != b'"' {
            return Err(walk.malformed("expected the key of a row"));
        }
        key = walk.take_name()?;
        if walk.expect_solid()? != b':' {
            return Err(walk.malformed("expected `:` after the key of a row"));
        }
        walk.consume(1);
        walk.expect_solid()?;
    }
    walk.take_value(value, HINT)?;
    walk.row += 1;
    Ok((true, key))
}

/// A row as an array, with its columns' names, as an object; left as it is, which no object is, if they do not fit.
fn object_of(row: &[u8], names: &[String], raw: &mut Vec<u8>) {
    let values = elements(row);
    if values.len() != names.len() {
        raw.extend_from_slice(row);
        return;
    }
    raw.push(b'{');
    for (at, (name, value)) in names.iter().zip(values).enumerate() {
        if at > 0 {
            raw.push(b',');
        }
        raw.extend(serde_json::Value::from(name.as_str()).to_string().bytes());
        raw.push(b':');
        raw.extend_from_slice(value);
    }
    raw.push(b'}');
}

/// The elements of an array as they stand; none of what is no array.
fn elements(row: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let Some(mut rest) = row.trim_ascii().strip_prefix(b"[") else { return found };
    loop {
        rest = rest.trim_ascii_start();
        let Some(end) = Scan::default().end(rest).filter(|_| found.len() < MAX_MEMBERS) else {
            return Vec::new();
        };
        if end == 0 {
            return if found.is_empty() && rest == b"]" { found } else { Vec::new() };
        }
        found.push(&rest[..end]);
        rest = rest[end..].trim_ascii_start();
        match rest.split_first() {
            Some((b',', after)) => rest = after,
            Some((b']', [])) => return found,
            _ => return Vec::new(),
        }
    }
}
