//! Strings with their counts, packed: what a partition is in memory.

/// A string with its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The string: a word, an n-gram, a caption.
    pub word: &'a str,
    /// Times it was seen.
    pub count: u64,
    /// Captions it was seen in.
    pub captions: u64,
}

/// Entries with their strings in one piece of memory.
#[derive(Debug, Clone, Default)]
pub struct List {
    text: Vec<u8>,
    entries: Vec<Packed>,
}

#[derive(Debug, Clone, Copy)]
struct Packed {
    start: u64,
    len: u32,
    count: u64,
    captions: u64,
}

impl List {
    pub(super) fn push(&mut self, word: &[u8], count: u64, captions: u64) {
        self.entries.push(Packed { start: self.text.len() as u64, len: word.len() as u32, count, captions });
        self.text.extend_from_slice(word);
    }

    fn word(&self, entry: &Packed) -> &[u8] {
        let start = entry.start as usize;
        self.text.get(start..start + entry.len as usize).unwrap_or_default()
    }

    /// Sorts by string and adds up what stands there more than once.
    pub(super) fn merge(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| self.word(a).cmp(self.word(b)));
        entries.dedup_by(|later, first| {
            let same = self.word(later) == self.word(first);
            if same {
                first.count += later.count;
                first.captions += later.captions;
            }
            same
        });
        self.entries = entries;
    }

    /// Sorts by falling count, equal counts by string.
    pub(super) fn sort_by_count(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| self.word(a).cmp(self.word(b))));
        self.entries = entries;
    }

    /// The entries, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.entries.iter().map(move |e| Entry {
            // Only whole words of valid text are ever pushed.
            word: std::str::from_utf8(self.word(e)).unwrap_or_default(),
            count: e.count,
            captions: e.captions,
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
