//! From bytes to what a model takes: 0–1, less the mean, over the standard deviation, a plane a channel.

use serde::{Deserialize, Serialize};

use crate::error::PixelError;

/// The statistics a model was (or is to be) trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Those of CLIP's training pixels (Radford et al. 2021).
    #[default]
    Clip,
    /// Those of ImageNet, as torchvision and timm have them.
    Imagenet,
    /// The user's own.
    Own(Statistics),
}

/// Mean and standard deviation of red, green and blue on a scale of 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Given")]
pub struct Statistics {
    mean: [f64; 3],
    std: [f64; 3],
}

/// As written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    mean: [f64; 3],
    std: [f64; 3],
}

impl TryFrom<Given> for Statistics {
    type Error = String;

    fn try_from(Given { mean, std }: Given) -> Result<Self, String> {
        let is_mean = |mean: &f64| (0.0..=1.0).contains(mean);
        if !mean.iter().all(is_mean) {
            return Err(format!("mean is {mean:?}; give each on a scale of 0 to 1"));
        }
        let is_std = |std: &f64| *std > 0.0 && *std <= 1.0;
        if !std.iter().all(is_std) {
            return Err(format!("std is {std:?}; give each above 0 and at most 1"));
        }
        Ok(Self { mean, std })
    }
}

// Checked to be finite, and no mean of a picture is told apart by the sign of its zero.
impl Eq for Statistics {}

impl std::hash::Hash for Statistics {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let bits = |values: [f64; 3]| values.map(|value| (value + 0.0).to_bits());
        (bits(self.mean), bits(self.std)).hash(state);
    }
}

impl Normalisation {
    /// Mean of red, green, blue on a scale of 0–1.
    pub const fn mean(self) -> [f64; 3] {
        match self {
            Self::Clip => [0.481_454_66, 0.457_827_5, 0.408_210_73],
            Self::Imagenet => [0.485, 0.456, 0.406],
            Self::Own(statistics) => statistics.mean,
        }
    }

    /// Standard deviation of red, green, blue.
    pub const fn std(self) -> [f64; 3] {
        match self {
            Self::Clip => [0.268_629_54, 0.261_302_58, 0.275_777_11],
            Self::Imagenet => [0.229, 0.224, 0.225],
            Self::Own(statistics) => statistics.std,
        }
    }

    /// The mean as a colour, rounded: what timm's augmentations fill with.
    pub fn mean_colour(self) -> [u8; 3] {
        self.mean().map(|mean| (255.0 * mean).round_ties_even() as u8)
    }

    /// The 256 floats of each channel.
    pub fn table(self) -> NormaliseTable {
        let (mean, std) = (self.mean(), self.std());
        // torchvision's `ToTensor` and `Normalize` in single precision, one operation after the other.
        let channel =
            |c: usize| std::array::from_fn(|value| (value as f32 / 255.0 - mean[c] as f32) / std[c] as f32);
        NormaliseTable(std::array::from_fn(channel))
    }
}

/// What each byte of each channel becomes; torchvision's numbers to the last bit.
#[derive(Debug, Clone, PartialEq)]
pub struct NormaliseTable([[f32; 256]; 3]);

impl NormaliseTable {
    /// Interleaved RGB bytes (HWC) to three planes (CHW).
    ///
    /// # Errors
    /// [`PixelError::Encode`] where the lengths differ or are no multiple of 3.
    pub fn to_planes(&self, rgb: &[u8], out: &mut [f32]) -> Result<(), PixelError> {
        if rgb.len() != out.len() || !rgb.len().is_multiple_of(3) {
            let message = format!("{} bytes of RGB do not make {} floats", rgb.len(), out.len());
            return Err(PixelError::Encode(message));
        }
        let pixels = rgb.as_chunks::<3>().0;
        let (red, rest) = out.split_at_mut(pixels.len());
        let (green, blue) = rest.split_at_mut(pixels.len());
        let planes = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in pixels.iter().zip(planes) {
            let [r, g, b] = pixel.map(usize::from);
            (*red, *green, *blue) = (self.0[0][r], self.0[1][g], self.0[2][b]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_torchvisions_and_lie_in_planes() {
        // `Normalize(mean, std)(ToTensor()(pixels))` of torchvision 0.26 for the pixels below.
        let rgb = [0, 1, 127, 128, 254, 255];
        for (statistics, wanted) in [
            (Normalisation::Clip, [-1.7922626, 0.076336145, -1.7370893, 2.059876, 0.3257286, 2.145897]),
            (Normalisation::Imagenet, [-2.117904, 0.07406463, -2.0182073, 2.4110641, 0.40906325, 2.64]),
        ] {
            let mut out = [0.0; 6];
            statistics.table().to_planes(&rgb, &mut out).unwrap();
            assert_eq!(out, wanted, "{statistics:?}");
        }
        let table = Normalisation::Clip.table();
        for (bytes, floats) in [(6, 5), (4, 4), (0, 3)] {
            let refused = table.to_planes(&vec![0; bytes], &mut vec![0.0; floats]);
            assert!(matches!(refused, Err(PixelError::Encode(_))), "{bytes} bytes, {floats} floats");
        }
    }

    #[test]
    fn augmentations_fill_with_imagenets_mean() {
        assert_eq!(Normalisation::Imagenet.mean_colour(), [124, 116, 104]);
        assert_eq!(serde_json::to_string(&Normalisation::Imagenet).unwrap(), "\"imagenet\"");
    }

    #[test]
    fn t14_statistics_of_the_users_own_are_read_and_checked() {
        let own = r#"{"own":{"mean":[0.5,0.5,0.5],"std":[0.5,0.25,0.5]}}"#;
        let statistics: Normalisation = serde_json::from_str(own).unwrap();
        assert_eq!(serde_json::to_string(&statistics).unwrap(), own);
        assert_eq!((statistics.mean(), statistics.std()), ([0.5; 3], [0.5, 0.25, 0.5]));
        for (from, to, said) in [
            ("0.25", "0", "above 0"),
            ("[0.5,0.5,0.5]", "[127,127,127]", "0 to 1"),
            ("\"mean\"", "\"means\"", "means"),
        ] {
            let error =
                serde_json::from_str::<Normalisation>(&own.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
