//! Captions as a stream of lines to rows of ids, on several threads and in order: what `pairmill-train tokenize` does.
//!
//! ```text
//! read whole lines (1 MB) ─bounded→ encode ×N ─bounded→ write, in the order read
//! ```

use std::io::{BufRead, Read, Write};
use std::num::NonZeroUsize;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{CONTEXT_LENGTH, Encoder, Error, Tokenizer, Truncation};

/// The longest line that is taken as a caption.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// Lines are handed on in blocks of about this size.
const BLOCK_BYTES: usize = 1 << 18;
/// Blocks under way for each thread.
const BLOCKS_A_THREAD: usize = 2;

/// What passed through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LineCounts {
    /// Captions, which is also the number of rows written.
    pub lines: u64,
    /// Captions that were not UTF-8; the bad bytes were replaced by U+FFFD.
    pub not_utf8: u64,
    /// Captions with more ids than a row holds.
    pub truncated: u64,
    /// Captions without any id of their own.
    pub empty: u64,
}

/// Reads captions, one a line, and writes the 77 ids of each, separated by spaces, one caption a line.
///
/// Memory is bounded by the threads (some blocks of a quarter megabyte each, and the longest line). An empty line is an
/// empty caption; what follows the last line break counts if it is not empty.
///
/// # Errors
/// Of the two streams, and [`Error::LineTooLong`]. Rows of the lines before may have been written by then.
pub fn tokenize_lines(
    mut reader: impl BufRead,
    mut writer: impl Write + Send,
    tokenizer: &Tokenizer,
    truncation: Truncation,
    threads: NonZeroUsize,
) -> Result<LineCounts, Error> {
    let under_way = threads.get() * BLOCKS_A_THREAD;
    let (to_encode, blocks) = bounded::<(Vec<u8>, Sender<Rows>)>(under_way);
    let (in_order, rows) = bounded::<Receiver<Rows>>(under_way);
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            let blocks = blocks.clone();
            scope.spawn(move || {
                let mut encoder = tokenizer.encoder();
                for (block, reply) in blocks {
                    // The writer may have ended with an error; then nobody waits for this.
                    let _ = reply.send(Rows::of(&block, &mut encoder, truncation));
                }
            });
        }
        drop(blocks);
        let writing = scope.spawn(move || {
            let mut counts = LineCounts::default();
            for block in rows {
                let Ok(block) = block.recv() else { break };
                writer.write_all(&block.text).map_err(Error::Write)?;
                counts.add(block.counts);
            }
            writer.flush().map_err(Error::Write)?;
            Ok(counts)
        });
        let mut lines = 0;
        let read = loop {
            match read_block(&mut reader, &mut lines) {
                Ok(block) if block.is_empty() => break Ok(()),
                Ok(block) => {
                    let (reply, answer) = bounded(1);
                    // Both fail only when the writer has ended with an error, which is then the one to report.
                    if in_order.send(answer).is_err() || to_encode.send((block, reply)).is_err() {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
        };
        drop((in_order, to_encode));
        let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        read.and(written)
    })
}

/// At least one whole line, and as many more as the block takes; empty at the end.
fn read_block(reader: &mut impl BufRead, lines: &mut u64) -> Result<Vec<u8>, Error> {
    let mut block = Vec::new();
    while block.len() < BLOCK_BYTES {
        let start = block.len();
        let most = MAX_LINE_BYTES as u64 + 1;
        let read = reader.by_ref().take(most).read_until(b'\n', &mut block);
        if read.map_err(|source| Error::Read { after_line: *lines, source })? == 0 {
            break;
        }
        *lines += 1;
        if block.len() - start > MAX_LINE_BYTES && block.last() != Some(&b'\n') {
            return Err(Error::LineTooLong { line: *lines, max: MAX_LINE_BYTES });
        }
    }
    Ok(block)
}

/// The output of one block.
struct Rows {
    text: Vec<u8>,
    counts: LineCounts,
}

impl Rows {
    fn of(block: &[u8], encoder: &mut Encoder, truncation: Truncation) -> Self {
        let mut rows = Self { text: Vec::new(), counts: LineCounts::default() };
        let mut row = [0; CONTEXT_LENGTH];
        for line in block.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let caption = String::from_utf8_lossy(line);
            let truncated = encoder.tokenize_into(&caption, truncation, &mut row);
            rows.counts.add(LineCounts {
                lines: 1,
                not_utf8: u64::from(matches!(caption, std::borrow::Cow::Owned(_))),
                truncated: u64::from(truncated),
                empty: u64::from(row[1] == crate::END as i32 && row[2] == 0),
            });
            for id in row {
                push_decimal(id as u32, &mut rows.text);
                rows.text.push(b' ');
            }
            if let Some(last) = rows.text.last_mut() {
                *last = b'\n';
            }
        }
        rows
    }
}

impl LineCounts {
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.not_utf8 += other.not_utf8;
        self.truncated += other.truncated;
        self.empty += other.empty;
    }
}

/// `write!` would cost more than the tokens.
fn push_decimal(number: u32, out: &mut Vec<u8>) {
    let digits = number.checked_ilog10().unwrap_or(0);
    for power in (0..=digits).rev() {
        out.push(b'0' + (number / 10_u32.pow(power) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn rows(input: &[u8], threads: usize) -> Result<(String, LineCounts), Error> {
        let mut out = Vec::new();
        let tokenizer = Tokenizer::new()?;
        let threads = NonZeroUsize::new(threads).unwrap();
        let counts = tokenize_lines(input, &mut out, &tokenizer, Truncation::EndToken, threads)?;
        Ok((String::from_utf8(out).unwrap(), counts))
    }

    #[test]
    fn a_row_of_77_for_every_line() {
        let (text, counts) = rows(b"hello\n\nhello \xff\xfe\nlast without a break", 1).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split(' ').collect()).collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|l| l.len() == CONTEXT_LENGTH));
        assert_eq!(lines[0][..4], ["49406", "3306", "49407", "0"]);
        assert_eq!(lines[1][..3], ["49406", "49407", "0"]);
        assert_eq!(counts, LineCounts { lines: 4, not_utf8: 1, truncated: 0, empty: 1 });
    }

    #[test]
    fn many_threads_keep_the_order() {
        let input: String =
            (0..30_000).map(|n| format!("caption number {n} of many, some longer than others\n")).collect();
        let (one, counts) = rows(input.as_bytes(), 1).unwrap();
        assert_eq!(counts.lines, 30_000);
        assert_eq!(rows(input.as_bytes(), 3).unwrap(), (one, counts));
    }

    #[test]
    fn an_endless_line_is_refused_by_number() {
        let mut input = b"fine\n".to_vec();
        input.resize(MAX_LINE_BYTES + 100, b'a');
        assert!(matches!(rows(&input, 2), Err(Error::LineTooLong { line: 2, .. })));
        let longest = [vec![b'a'; MAX_LINE_BYTES], b"\n".to_vec()].concat();
        assert_eq!(rows(&longest, 1).unwrap().1.truncated, 1);
    }

    #[test]
    fn a_closed_output_ends_the_run_with_its_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let input = "a caption\n".repeat(500_000);
        let tokenizer = Tokenizer::new().unwrap();
        let two = NonZeroUsize::new(2).unwrap();
        let result = tokenize_lines(input.as_bytes(), Closed, &tokenizer, Truncation::Cut, two);
        assert!(matches!(result, Err(Error::Write(_))));
    }
}
