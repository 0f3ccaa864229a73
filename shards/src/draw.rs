//! The seeded draw of subsets, one for rows (`pairmill-ingest --subset`) and samples (`pairmill-shards subset`): a
//! subset of size N is what has the N smallest places. So subsets of one seed are nested, do not depend on the order
//! of files, and are the same before fetching and after, but for what could not be fetched.

use siphasher::sip::SipHasher13;

/// The place in the draw of `seed` of what has this URL and caption, both in UTF-8, null as empty: SipHash-1-3 keyed
/// with the seed, of the URL, then of the caption keyed with the seed and that. A picture without a URL is drawn by
/// its bytes.
pub fn place(seed: u64, url: &[u8], caption: &[u8]) -> u64 {
    let of_url = SipHasher13::new_with_keys(seed, 0).hash(url);
    SipHasher13::new_with_keys(seed, of_url).hash(caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Subsets that exist must stay what they are.
    #[test]
    fn places_never_change() {
        let places = [place(0, b"", b""), place(7, b"http://a/b.jpg", b"a dog")];
        assert_eq!(places, PLACES);
    }

    /// By SipHash-1-3 of an independent implementation.
    const PLACES: [u64; 2] = [0x6869a881c19737b9, 0x8c304ea4a7c254de];
}
