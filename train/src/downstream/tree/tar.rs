//! The files of a tar, compressed or not, as a stream: headers are read, the rest is passed over or handed out.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use super::{Choice, Member, Tree, Visitor, tidy};

/// `input` begins at the archive's first byte.
pub(super) fn visit<V: Visitor>(
    tree: &Tree,
    input: &mut dyn BufRead,
    visitor: &mut V,
) -> Result<(), V::Error> {
    let start = input.fill_buf().map_err(|error| tree.broken("its start", &error))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        entries(tree, &mut MultiGzDecoder::new(input), visitor)
    } else {
        entries(tree, &mut { input }, visitor)
    }
}

fn entries<V: Visitor>(tree: &Tree, input: &mut dyn Read, visitor: &mut V) -> Result<(), V::Error> {
    let mut archive = ::tar::Archive::new(input);
    let mut last = "its start".to_owned();
    let entries = archive.entries().map_err(|error| tree.broken(&last, &error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| tree.broken(&last, &cut(error)))?;
        last = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() && !entry.header().entry_type().is_contiguous() {
            continue;
        }
        let Some(name) = tidy(&last) else { continue };
        let size = entry.size();
        match visitor.choose(&name, size) {
            Choice::Skip => {}
            Choice::Stop => return Ok(()),
            Choice::Read => visitor.take(&mut Member { name: &name, size, tree, input: &mut entry })?,
        }
    }
    // The checksum of the whole stands at its end, behind the closing zero blocks.
    let rest = io::copy(archive.into_inner(), &mut io::sink());
    rest.map_err(|error| tree.broken("its end", &error))?;
    Ok(())
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
