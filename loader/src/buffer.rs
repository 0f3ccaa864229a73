//! Memory for the pixels of a batch. It is the caller's: the trainer lends pinned memory, tests lend the heap. The
//! loader cuts a buffer into one slot per sample, so that workers fill it side by side, and joins it again.

use bytes::BytesMut;

use crate::config::LoaderConfig;

/// Memory of one batch's pixels, lent to the loader and handed out again with each batch.
pub trait ImageBuffer: Send + 'static {
    /// A part that one worker fills.
    type Slot: AsMut<[u8]> + Send + 'static;

    /// Bytes of the whole buffer; at least `batch_size * side * side * 3`.
    fn len(&self) -> usize;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts the buffer into `count` slots of `bytes` bytes each, in order, from its start.
    fn split(self, count: usize, bytes: usize) -> Vec<Self::Slot>;

    /// Puts the slots of one [`split`](Self::split) together again, given in its order.
    fn join(slots: Vec<Self::Slot>) -> Self;
}

/// A buffer on the heap.
#[derive(Debug, Default)]
pub struct HeapBuffer(BytesMut);

impl HeapBuffer {
    /// A buffer of `bytes` zeros.
    pub fn new(bytes: usize) -> Self {
        Self(BytesMut::zeroed(bytes))
    }

    /// Buffers for a loader: [`LoaderConfig::prefetch`] of them.
    pub fn pool(config: &LoaderConfig) -> Vec<Self> {
        (0..config.prefetch.max(1)).map(|_| Self::new(config.image_bytes())).collect()
    }

    /// The bytes: `[batch_size, side, side, 3]`.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl ImageBuffer for HeapBuffer {
    type Slot = BytesMut;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn split(self, count: usize, bytes: usize) -> Vec<BytesMut> {
        let mut rest = self.0;
        let mut slots: Vec<BytesMut> = (1..count).map(|_| rest.split_to(bytes.min(rest.len()))).collect();
        slots.push(rest);
        slots
    }

    fn join(slots: Vec<BytesMut>) -> Self {
        let mut slots = slots.into_iter();
        let mut whole = slots.next().unwrap_or_default();
        // Neighbours of one allocation: no byte is copied.
        slots.for_each(|slot| whole.unsplit(slot));
        Self(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_written_in_place() {
        let buffer = HeapBuffer::new(12);
        let address = buffer.as_slice().as_ptr();
        let mut slots = buffer.split(4, 3);
        for (i, slot) in slots.iter_mut().enumerate() {
            assert_eq!(slot.len(), 3);
            slot.as_mut().fill(i as u8);
        }
        let joined = HeapBuffer::join(slots);
        assert_eq!(joined.as_slice(), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(joined.as_slice().as_ptr(), address);
    }
}
