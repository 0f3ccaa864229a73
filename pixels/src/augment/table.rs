//! Operations that look at one value at a time: a table of 256 entries a channel, then one pass over the bytes.

/// Entries for each value of a channel.
type Table = [u8; 256];

/// The same table for all channels.
pub(super) fn map(pixels: &mut [u8], entry: impl Fn(u8) -> u8) {
    let table: Table = std::array::from_fn(|value| entry(value as u8));
    pixels.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// PIL's `ImageOps.autocontrast` without cut-off.
pub(super) fn auto_contrast(pixels: &mut [u8]) {
    let tables = histograms(pixels).map(|histogram| {
        let low = histogram.iter().position(|count| *count > 0).unwrap_or(0);
        let high = histogram.iter().rposition(|count| *count > 0).unwrap_or(0);
        if high <= low {
            return identity();
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        // The cast cuts towards zero and then to 0–255, as `int` and PIL's bounds do.
        std::array::from_fn(|value| (value as f64 * scale + offset) as u8)
    });
    map_channels(pixels, &tables);
}

/// PIL's `ImageOps.equalize`.
pub(super) fn equalize(pixels: &mut [u8]) {
    let tables = histograms(pixels).map(|histogram| {
        let total: u32 = histogram.iter().sum();
        let last = histogram.iter().rev().find(|count| **count > 0).copied().unwrap_or(0);
        // A channel of one value leaves nothing, and a step of 0.
        let step = (total - last) / 255;
        if step == 0 {
            return identity();
        }
        let mut below = step / 2;
        std::array::from_fn(|value| {
            let entry = below / step;
            below += histogram[value];
            entry.min(255) as u8
        })
    });
    map_channels(pixels, &tables);
}

fn identity() -> Table {
    std::array::from_fn(|value| value as u8)
}

fn histograms(pixels: &[u8]) -> [[u32; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in pixels.as_chunks::<3>().0 {
        for (counts, value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(*value)] += 1;
        }
    }
    counts
}

fn map_channels(pixels: &mut [u8], tables: &[Table; 3]) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        for (table, value) in tables.iter().zip(pixel) {
            *value = table[usize::from(*value)];
        }
    }
}
