//! The files of a tar, compressed or not, as a stream: headers are read, the rest is passed over or handed out. A link
//! stands for the member it leads to, by the rules of shards (`pairmill_shards::tar::links`): it may come before its target,
//! and a stream cannot go back, so links are dealt with once the end is reached, the wanted ones in a second pass.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use pairmill_shards::tar::LinkProblem;
use pairmill_shards::tar::links::{Extent, Link, MAX_LINKED_BYTES, Targets};

use super::{Choice, DatasetError, Member, Tree, Visitor, tidy};

/// Most bytes between the data of two files: headers, and the long names that stand before them as members of their own.
const MAX_HEADER_BYTES: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// Every file and link of a tar by name.
#[derive(Default)]
pub(super) struct Members {
    targets: Targets,
    links: Vec<(String, u64, Link)>,
    count: u64,
}

/// How a pass over a tar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The visitor wanted no more.
    Stopped,
    /// At the closing zero block.
    Closed,
    /// Where there was nothing more.
    Open,
}

/// Goes through the files of a tar; true when the visitor wanted no more. `input` begins at the archive's first byte.
pub(super) fn visit<V: Visitor>(
    tree: &Tree,
    input: &mut dyn BufRead,
    members: &mut Members,
    visitor: &mut V,
) -> Result<bool, V::Error> {
    let start = input.fill_buf().map_err(|error| tree.broken("its start", &error))?;
    let is_packed = start.starts_with(&[0x1f, 0x8b]);
    let end = match is_packed {
        true => entries(tree, &mut MultiGzDecoder::new(input), members, visitor)?,
        false => entries(tree, &mut { input }, members, visitor)?,
    };
    // Whether all of a packed one is there its own checksum says.
    if end == End::Open && !is_packed {
        let error = io::ErrorKind::UnexpectedEof.into();
        return Err(tree.broken("its end: the closing zero block is missing", &error).into());
    }
    Ok(end == End::Stopped)
}

/// Goes through the links of a tar whose files were gone through, each as the file or the folder of files it leads to.
pub(super) fn visit_links<V: Visitor>(
    tree: &Tree,
    mut members: Members,
    visitor: &mut V,
) -> Result<(), V::Error> {
    if members.links.is_empty() {
        return Ok(());
    }
    members.targets.sort();
    // By where the data begins, the names under which it is wanted.
    let mut wanted: HashMap<u64, Vec<String>> = HashMap::new();
    let mut bytes = 0u64;
    'links: for (name, number, link) in &members.links {
        let files: Vec<(String, Extent)> = match members.targets.resolve(name, *number, link) {
            Ok(extent) => vec![(name.clone(), extent)],
            Err(problem) => {
                let below = members.targets.folder(name, link);
                let files: Vec<_> = below.map(|(rest, extent)| (format!("{name}/{rest}"), extent)).collect();
                if files.is_empty() {
                    let what = match problem {
                        LinkProblem::Loop => "links lead in a circle and are left out",
                        LinkProblem::Later => "hard links come before their files and are left out",
                        LinkProblem::Missing => "links lead out of the archive or nowhere and are left out",
                    };
                    visitor.leave_out(what, name);
                }
                files
            }
        };
        for (name, extent) in files {
            let Some(name) = tidy(&name) else { continue };
            match visitor.choose(&name, extent.size) {
                Choice::Skip => {}
                Choice::Stop => break 'links,
                Choice::Read => {
                    bytes = bytes.saturating_add(extent.size);
                    if bytes > MAX_LINKED_BYTES {
                        let rule = format!("its links lead to more than {MAX_LINKED_BYTES} bytes in all");
                        return Err(DatasetError::Archive { path: tree.path().to_owned(), rule }.into());
                    }
                    wanted.entry(extent.offset).or_default().push(name);
                }
            }
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    tree.with_tar(|input| {
        let mut linked = Linked { wanted, visitor, tree };
        let start = input.fill_buf().map_err(|error| tree.broken("its start", &error))?;
        let mut again = Members::default();
        match start.starts_with(&[0x1f, 0x8b]) {
            true => walk(tree, &mut MultiGzDecoder::new(input), &mut again, &mut linked),
            false => walk(tree, &mut { input }, &mut again, &mut linked),
        }
        .map(drop)
    })
}

/// What is done with the files of a pass, each told by where its data begins.
trait Files {
    type Error: From<DatasetError>;

    fn choose(&mut self, offset: u64, name: &str, size: u64) -> Choice;
    fn take(&mut self, offset: u64, member: &mut Member<'_>) -> Result<(), Self::Error>;
    fn leave_out(&mut self, what: &'static str, name: &str);
}

/// The first pass: files as they come.
struct Direct<'a, V>(&'a mut V);

impl<V: Visitor> Files for Direct<'_, V> {
    type Error = V::Error;

    fn choose(&mut self, _: u64, name: &str, size: u64) -> Choice {
        self.0.choose(name, size)
    }

    fn take(&mut self, _: u64, member: &mut Member<'_>) -> Result<(), V::Error> {
        self.0.take(member)
    }

    fn leave_out(&mut self, what: &'static str, name: &str) {
        self.0.leave_out(what, name);
    }
}

/// The second pass: files that links lead to, each read once and handed out under the names of its links.
struct Linked<'a, V> {
    wanted: HashMap<u64, Vec<String>>,
    visitor: &'a mut V,
    tree: &'a Tree,
}

impl<V: Visitor> Files for Linked<'_, V> {
    type Error = V::Error;

    fn choose(&mut self, offset: u64, _: &str, _: u64) -> Choice {
        match self.wanted.contains_key(&offset) {
            true => Choice::Read,
            false if self.wanted.is_empty() => Choice::Stop,
            false => Choice::Skip,
        }
    }

    fn take(&mut self, offset: u64, member: &mut Member<'_>) -> Result<(), V::Error> {
        let bytes = member.bytes()?;
        for name in self.wanted.remove(&offset).unwrap_or_default() {
            let mut input = bytes.as_slice();
            let size = bytes.len() as u64;
            self.visitor.take(&mut Member { name: &name, size, tree: self.tree, input: &mut input })?;
        }
        Ok(())
    }

    fn leave_out(&mut self, _: &'static str, _: &str) {}
}

fn entries<V: Visitor>(
    tree: &Tree,
    input: &mut dyn Read,
    members: &mut Members,
    visitor: &mut V,
) -> Result<End, V::Error> {
    walk(tree, input, members, &mut Direct(visitor))
}

fn walk<F: Files>(
    tree: &Tree,
    input: &mut dyn Read,
    members: &mut Members,
    files: &mut F,
) -> Result<End, F::Error> {
    let fence = Fence { at: Cell::new(0), end: Cell::new(0) };
    let mut archive = ::tar::Archive::new(Fenced { input, fence: &fence });
    let mut last = "its start".to_owned();
    // Where the data of the last file ends, padding included.
    let mut end = 0;
    let mut entries = archive.entries().map_err(|error| tree.broken(&last, &error))?;
    loop {
        fence.end.set(fence.at.get().max(end).saturating_add(MAX_HEADER_BYTES));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| tree.broken(&last, &cut(error)))?;
        let kind = entry.header().entry_type();
        // The size of a sparse file is that of its holes as well.
        let stored = if kind.is_gnu_sparse() { entry.header().entry_size() } else { Ok(entry.size()) };
        let stored = stored.map_err(|error| tree.broken(&last, &error))?;
        end = entry.raw_file_position().saturating_add(stored.div_ceil(BLOCK).saturating_mul(BLOCK));
        fence.end.set(end.saturating_add(MAX_HEADER_BYTES));
        last = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        members.count += 1;
        if kind.is_hard_link() || kind.is_symlink() {
            let target = entry.link_name_bytes().unwrap_or_default();
            // Backslashes part folders in names, so in targets too.
            let target = String::from_utf8_lossy(&target).replace('\\', "/");
            let link = Link { symbolic: kind.is_symlink(), target };
            let name = last.replace('\\', "/");
            members.targets.add_link(&name, members.count, &link);
            members.links.push((name, members.count, link));
            continue;
        }
        if !kind.is_file() && !kind.is_contiguous() {
            if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
                files.leave_out("entries are neither files nor folders and are left out", &last);
            }
            continue;
        }
        let (offset, size) = (entry.raw_file_position(), entry.size());
        members.targets.add_file(&last.replace('\\', "/"), members.count, Extent { offset, size });
        let Some(name) = tidy(&last) else { continue };
        match files.choose(offset, &name, size) {
            Choice::Skip => {}
            Choice::Stop => return Ok(End::Stopped),
            Choice::Read => {
                files.take(offset, &mut Member { name: &name, size, tree, input: &mut entry })?;
            }
        }
    }
    let is_closed = fence.at.get() > end;
    // The checksum of the whole stands at its end, behind the closing zero blocks.
    fence.end.set(u64::MAX);
    let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
    rest.map_err(|error| tree.broken("its end", &error))?;
    Ok(if is_closed { End::Closed } else { End::Open })
}

/// How far has been read and how far may be. The tar crate takes long names into memory at whatever length their headers
/// give, and a compressed archive has bytes enough for any of them.
struct Fence {
    at: Cell<u64>,
    end: Cell<u64>,
}

struct Fenced<'a> {
    input: &'a mut dyn Read,
    fence: &'a Fence,
}

impl Read for Fenced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Fence { at, end } = self.fence;
        let left = end.get().saturating_sub(at.get());
        if left == 0 && !buffer.is_empty() {
            let rule = format!("a name or header of more than {MAX_HEADER_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, rule));
        }
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.input.read(&mut buffer[..wanted])?;
        at.set(at.get() + read as u64);
        Ok(read)
    }
}

/// The tar crate reports a cut header as an error of its own kind.
fn cut(error: io::Error) -> io::Error {
    let text = error.to_string();
    if text.contains("failed to read entire block") || text.contains("unexpected EOF") {
        io::ErrorKind::UnexpectedEof.into()
    } else {
        error
    }
}
