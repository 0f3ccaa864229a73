//! Delta encodings, added up before the parquet crate decodes them. A page of a few bytes may claim any number of values
//! and, where each value repeats the beginning of the one before (`DELTA_BYTE_ARRAY`), unpack to any length; the crate
//! reserves for the one and copies for the other.

/// What a stream of `DELTA_BINARY_PACKED` lengths comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    /// Number of lengths.
    pub(super) count: u64,
    pub(super) sum: u64,
    /// Bytes of the stream.
    pub(super) end: usize,
}

/// Adds up the stream at the start of `data`; `None` if it is damaged, has more than `max_count` lengths or a negative
/// one.
pub(super) fn add_up(data: &[u8], max_count: u64) -> Option<Lengths> {
    let mut at = 0;
    let block_size = varint(data, &mut at)?;
    let blocks = varint(data, &mut at)?;
    let count = varint(data, &mut at)?;
    let mut value = zigzag(data, &mut at)?;
    if count > max_count || blocks == 0 || block_size % blocks != 0 {
        return None;
    }
    let in_block = block_size / blocks;
    if count == 0 {
        return Some(Lengths { count, sum: 0, end: at });
    }
    if in_block == 0 || !in_block.is_multiple_of(8) {
        return None;
    }
    let mut sum = u64::try_from(value).ok()?;
    let mut left = count - 1;
    while left > 0 {
        let least = zigzag(data, &mut at)?;
        let widths_at = at;
        at = at.checked_add(usize::try_from(blocks).ok()?)?;
        let widths = data.get(widths_at..at)?;
        for &width in widths {
            if left == 0 {
                break;
            }
            if width > 64 {
                return None;
            }
            let packed_bytes = usize::try_from(in_block / 8).ok()?.checked_mul(usize::from(width))?;
            let packed = data.get(at..at.checked_add(packed_bytes)?)?;
            at += packed_bytes;
            for number in 0..in_block.min(left) {
                let delta = unpack(packed, number.checked_mul(u64::from(width))?, width);
                // As the crate does it, in 32 bits that wrap.
                value = i64::from((value as i32).wrapping_add((least as i32).wrapping_add(delta as i32)));
                sum = sum.checked_add(u64::try_from(value).ok()?)?;
            }
            left -= in_block.min(left);
        }
    }
    Some(Lengths { count, sum, end: at })
}

/// `width` bits from bit `from` on, lowest first. The caller has seen to it that they are there.
fn unpack(packed: &[u8], from: u64, width: u8) -> u64 {
    let mut value = 0_u64;
    let first = (from / 8) as usize;
    let shift = (from % 8) as u32;
    let bytes = (shift + u32::from(width)).div_ceil(8) as usize;
    for (place, byte) in packed.iter().skip(first).take(bytes).enumerate() {
        let bits = u128::from(*byte) << (8 * place as u32) >> shift;
        value |= bits as u64;
    }
    if width == 64 { value } else { value & ((1 << width) - 1) }
}

fn varint(data: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = *data.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn zigzag(data: &[u8], at: &mut usize) -> Option<i64> {
    let value = varint(data, at)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_added_up_without_being_kept() {
        // The format's own example: 1 to 5 (block of 128, four miniblocks, five values, first 1, deltas of 1 at width 0).
        let ascending = [0x80, 0x01, 4, 5, 2, 2, 0, 0, 0, 0];
        assert_eq!(add_up(&ascending, 10), Some(Lengths { count: 5, sum: 15, end: 10 }));
        // 7 5 3 1 2 3 4 5, the other example: least delta -2, two bits each in the first miniblock.
        let mut mixed = vec![0x80, 0x01, 4, 8, 14, 3, 2, 0, 0, 0];
        mixed.extend([0b1100_0000, 0b0011_1111, 0, 0, 0, 0, 0, 0]);
        assert_eq!(add_up(&mixed, 8), Some(Lengths { count: 8, sum: 30, end: 18 }));
        assert_eq!(add_up(&mixed, 7), None, "more values than the page has");
        assert_eq!(add_up(&mixed[..14], 8), None, "cut short");
        assert_eq!(add_up(&[0x80, 0x01, 4, 0, 0], 0), Some(Lengths { count: 0, sum: 0, end: 5 }));
    }

    #[test]
    fn f02_a_few_bytes_that_claim_billions_of_lengths_are_refused() {
        let billions = [0x80, 0x01, 1, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0];
        assert_eq!(add_up(&billions, 1 << 20), None);
        assert_eq!(add_up(&[0x80, 0x01, 4, 2, 1], 10), None, "a negative length");
    }
}
