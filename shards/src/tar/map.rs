//! The one unsafe line of this crate: mapping a file into memory.

use std::fs::File;
use std::io;

/// Maps `file` for reading.
///
/// The residual risk: the bytes belong to the file, so another process that truncates it while it is mapped makes
/// access fault (SIGBUS ends this process), and one that rewrites it in place changes bytes under a `&[u8]`.
/// Shards are written under a temporary name and renamed ([`AtomicFile`](crate::atomic::AtomicFile)), never
/// changed in place, so a shard of ours replaced or removed while mapped stays intact. No soundness of this crate
/// rests on the bytes: offsets were checked against the length of this map, and nothing but `u8` is read from it.
#[expect(
    unsafe_code,
    reason = "mapping is the point; the contract on shard files that makes it hold is above"
)]
pub(super) fn map_read_only(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: shard files are not modified while they have their final name, see above.
    unsafe { memmap2::Mmap::map(file) }
}
