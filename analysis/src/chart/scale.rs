//! Axes: round ticks around the data, and the colour of a share.

/// An axis that begins and ends on a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticks {
    /// The ticks, at least two, rising.
    pub at: Vec<f64>,
    /// Digits behind the point that tell them apart.
    pub decimals: usize,
}

impl Ticks {
    /// About `wanted` ticks of 1, 2 or 5 times a power of ten around `low..=high`.
    pub fn around(low: f64, high: f64, wanted: usize) -> Self {
        let span = if high > low { high - low } else { low.abs().max(1.0) };
        let raw = span / wanted.max(1) as f64;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= raw * 0.999)
            .unwrap_or(power * 10.0);
        let first = (low / step + 1e-9).floor();
        let last = (high / step - 1e-9).ceil().max(first + 1.0);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        // 963 × 0.1 is not 96.3; dividing by whole powers of ten is.
        let whole = 10f64.powi(decimals as i32);
        let at = (0..=(last - first) as usize).map(|n| ((first + n as f64) * step * whole).round() / whole);
        let at = at.collect();
        Self { at, decimals }
    }

    /// The ends.
    pub fn ends(&self) -> (f64, f64) {
        (self.at.first().copied().unwrap_or(0.0), self.at.last().copied().unwrap_or(1.0))
    }

    /// Where `x` lies between the ends: 0 at the first tick, 1 at the last.
    pub fn share(&self, x: f64) -> f64 {
        let (first, last) = self.ends();
        (x - first) / (last - first)
    }
}

/// Nine stops of viridis (van der Walt and Smith 2015), even to the eye and to most colour-blind eyes.
const VIRIDIS: [(u8, u8, u8); 9] = [
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
];

/// The colour of a share from 0 to 1, and whether text on it is to be dark.
pub fn shade(share: f64) -> ((u8, u8, u8), bool) {
    let last = VIRIDIS.len() - 1;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = (place.floor() as usize).min(last - 1);
    let part = place - below as f64;
    let (a, b) = (VIRIDIS[below], VIRIDIS[below + 1]);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    let colour = (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2));
    // WCAG's relative luminance; dark text where it contrasts more than white.
    let linear = |c: u8| (f64::from(c) / 255.0).powf(2.2);
    let luminance = 0.2126 * linear(colour.0) + 0.7152 * linear(colour.1) + 0.0722 * linear(colour.2);
    (colour, luminance > 0.179)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_data() {
        assert_eq!(Ticks::around(0.0, 100.0, 5).at, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let narrow = Ticks::around(96.3, 96.7, 4);
        assert_eq!(narrow.decimals, 1);
        assert!(narrow.ends().0 <= 96.3 && narrow.ends().1 >= 96.7 && narrow.at.len() <= 7);
        for x in [0.0, 5.0, -3.0] {
            let one = Ticks::around(x, x, 4);
            assert!(one.at.len() >= 2 && one.ends().0 <= x && one.ends().1 >= x, "{one:?}");
        }
    }

    #[test]
    fn text_on_every_shade_is_readable() {
        for n in 0..=100 {
            let ((r, g, b), dark_text) = shade(f64::from(n) / 100.0);
            let linear = |c: u8| (f64::from(c) / 255.0).powf(2.2);
            let l = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
            let contrast = if dark_text { (l + 0.05) / 0.05 } else { 1.05 / (l + 0.05) };
            assert!(contrast >= 4.5, "{n}: {contrast}");
        }
    }
}
