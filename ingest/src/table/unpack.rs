//! Text as programs leave it in a file: gzip and bzip2 of several members one after the other, zeros behind the last
//! (tapes and some writers fill a block), and DOS's mark of the end (Ctrl-Z) behind the text.

use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;
/// DOS's mark of the end of a text.
const CTRL_Z: u8 = 0x1a;
/// Longest run of such marks and line ends that counts as the end.
const MAX_END_BYTES: usize = 64;

/// What packs the members of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Packing {
    Gzip,
    Bzip2,
}

enum Member<R> {
    Gzip(Box<GzDecoder<R>>),
    Bzip2(BzDecoder<R>),
}

/// Members one after the other: `cat a.gz b.gz` and bgzip are one text. Zeros behind one are passed over, as the tools
/// do; anything else that is no member is an error.
pub(super) struct Members<R> {
    packing: Packing,
    /// The one that is read; none at the end.
    open: Option<Member<R>>,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(packed: R, packing: Packing) -> Self {
        let mut members = Self { packing, open: None };
        members.begin(packed);
        members
    }

    fn begin(&mut self, packed: R) {
        self.open = Some(match self.packing {
            Packing::Gzip => Member::Gzip(Box::new(GzDecoder::new(packed))),
            Packing::Bzip2 => Member::Bzip2(BzDecoder::new(packed)),
        });
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.open {
                Some(Member::Gzip(member)) => member.read(into)?,
                Some(Member::Bzip2(member)) => member.read(into)?,
                None => 0,
            };
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let mut rest = match self.open.take() {
                Some(Member::Gzip(member)) => member.into_inner(),
                Some(Member::Bzip2(member)) => member.into_inner(),
                None => return Ok(0),
            };
            if skip_zeros(&mut rest)? {
                self.begin(rest);
            }
        }
    }
}

/// Whether anything but zeros is left; it comes next.
fn skip_zeros(rest: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let more = zeros < bytes.len();
        rest.consume(zeros);
        if more {
            return Ok(true);
        }
    }
}

/// A text without the Ctrl-Z that ends it, alone on a line or not.
pub(super) struct WithoutEndMark<R> {
    inner: R,
    /// `..ready` can be handed out from `from` on; what follows may be the end.
    buffer: Vec<u8>,
    from: usize,
    ready: usize,
    len: usize,
}

impl<R: Read> WithoutEndMark<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, buffer: vec![0; BUFFER_BYTES], from: 0, ready: 0, len: 0 }
    }
}

impl<R: Read> Read for WithoutEndMark<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.from == self.ready {
            self.buffer.copy_within(self.ready..self.len, 0);
            let held = self.len - self.ready;
            (self.from, self.ready, self.len) = (0, 0, held);
            let read = self.inner.read(&mut self.buffer[held..])?;
            if read == 0 {
                self.len = 0;
                return Ok(0);
            }
            self.len = held + read;
            self.ready = self.len - end_mark(&self.buffer[..self.len]);
        }
        let bytes = &self.buffer[self.from..self.ready];
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.from += count;
        Ok(count)
    }
}

/// Length of what would be a mark of the end, were these the last bytes of the text.
fn end_mark(text: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(MAX_END_BYTES)..];
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n' | &CTRL_Z);
    let end = tail.iter().rev().take_while(|byte| is_end(byte)).count();
    let end = &tail[tail.len() - end..];
    end.iter().position(|byte| *byte == CTRL_Z).map_or(0, |at| end.len() - at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives the parts one by one.
    struct Parts(Vec<Vec<u8>>);

    impl Read for Parts {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some(part) = self.0.first_mut() else { return Ok(0) };
            let count = part.len().min(into.len());
            into[..count].copy_from_slice(&part[..count]);
            part.drain(..count);
            if part.is_empty() {
                self.0.remove(0);
            }
            Ok(count)
        }
    }

    fn text(parts: &[&[u8]]) -> Vec<u8> {
        let parts = parts.iter().filter(|part| !part.is_empty()).map(|part| part.to_vec()).collect();
        let mut out = Vec::new();
        WithoutEndMark::new(Parts(parts)).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn f19_only_the_last_mark_ends_a_text() {
        for (parts, expected) in [
            (&[&b"a\nb\n\x1a"[..]][..], &b"a\nb\n"[..]),
            (&[b"a\nb\x1a"], b"a\nb"),
            (&[b"a\n", b"\x1a", b"\r", b"\n", b"\x1a\x1a"], b"a\n"),
            (&[b"a\x1a\nb\n"], b"a\x1a\nb\n"),
            (&[b"a\x1a", b"\n", b"b"], b"a\x1a\nb"),
            (&[b"\x1a"], b""),
            (&[b"a\n\n"], b"a\n\n"),
        ] {
            assert_eq!(text(parts), expected, "{parts:?}");
        }
        let long = [&b"a\x1a"[..], &[b'\n'; 100]].concat();
        assert_eq!(text(&[&long]), long, "nobody's mark");
    }

    proptest! {
        #[test]
        fn whatever_the_parts_the_text_is_the_same(
            bytes in prop::collection::vec(prop::sample::select(vec![b'a', b'\n', b'\r', CTRL_Z]), 0..40),
            cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(text(&parts), &bytes[..bytes.len() - end_mark(&bytes)]);
        }
    }
}
