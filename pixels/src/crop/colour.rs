//! YCbCr planes to interleaved RGB, at the finished size. The formula and its rounding are libjpeg's (jdcolor.c): JFIF's
//! full-range BT.601 in 16-bit fixed point.

/// 1.402, 0.34414, 0.71414 and 1.772 times 65536.
const RED_OF_RED: i32 = 91_881;
const GREEN_OF_BLUE: i32 = 22_554;
const GREEN_OF_RED: i32 = 46_802;
const BLUE_OF_BLUE: i32 = 116_130;
const HALF: i32 = 1 << 15;

/// Pixels converted at a time: long enough for whole vectors, short enough to stay in registers and first-level cache.
const RUN: usize = 32;

/// Writes `luma.len() * 3` bytes; the planes have one sample each per pixel.
pub(super) fn ycc_to_rgb(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    let mut runs = out.chunks_mut(RUN * 3);
    for ((luma, blue), red) in luma.chunks(RUN).zip(blue.chunks(RUN)).zip(red.chunks(RUN)) {
        let Some(out) = runs.next() else { return };
        // Three plain loops over whole arrays vectorise; the interleaving is left to the last one.
        let mut channels = [[0_u8; RUN]; 3];
        let n = luma.len().min(blue.len()).min(red.len()).min(RUN);
        for i in 0..n {
            let (y, cb, cr) = (i32::from(luma[i]), i32::from(blue[i]) - 128, i32::from(red[i]) - 128);
            channels[0][i] = (y + ((RED_OF_RED * cr + HALF) >> 16)).clamp(0, 255) as u8;
            channels[1][i] =
                (y + ((HALF - GREEN_OF_BLUE * cb - GREEN_OF_RED * cr) >> 16)).clamp(0, 255) as u8;
            channels[2][i] = (y + ((BLUE_OF_BLUE * cb + HALF) >> 16)).clamp(0, 255) as u8;
        }
        for (i, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate().take(n) {
            *pixel = [channels[0][i], channels[1][i], channels[2][i]];
        }
    }
}

/// Three equal channels.
pub(super) fn grey_to_rgb(luma: &[u8], out: &mut [u8]) {
    for (pixel, grey) in out.as_chunks_mut::<3>().0.iter_mut().zip(luma) {
        *pixel = [*grey; 3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_come_out_as_jfif_has_them() {
        let mut out = [0; 5 * 3];
        ycc_to_rgb(&[255, 0, 76, 150, 29], &[128, 128, 85, 44, 255], &[128, 128, 255, 21, 107], &mut out);
        assert_eq!(out, [255, 255, 255, 0, 0, 0, 254, 0, 0, 0, 255, 1, 0, 0, 254]);
    }
}
