//! The sources of the miniature web, named after the ones whose habits they imitate: what each tends to show, how
//! large and in which format, and what share of its captions is of which kind. Weights are invented; their
//! differences are what matters: a model trained on one source must meet another distribution in the next.

use crate::encode::{Chroma, Encoding};
use crate::rng::Rng;
use crate::scene::Distribution;
use crate::words::word_enum;

word_enum! {
    /// A source of captioned pictures.
    Source, "source" {
        Laion = "laion",
        RedCaps = "redcaps",
        Cc3m = "cc3m",
        Cc12m = "cc12m",
        Wit = "wit",
        Yfcc = "yfcc",
        Shutterstock = "shutterstock",
    }
}

word_enum! {
    /// How large the world's pictures are.
    SizeClass, "size class" {
        Web = "web",
        Small = "small",
    }
}

/// Share (percent) of captions with each defect, and of pictures of each unusual size, in one source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Caption empty or missing.
    pub blank: f32,
    /// Caption copied from an earlier row, or a stock phrase such as "image".
    pub duplicate: f32,
    /// Caption that describes another picture.
    pub mismatched: f32,
    /// Caption not in English.
    pub foreign: f32,
    /// Caption with HTML entities, product codes, emoji, file names or cut-off ends.
    pub noisy: f32,
    /// Row that repeats an earlier row's URL.
    pub repeated_url: f32,
    /// Picture under 40 pixels a side.
    pub tiny: f32,
    /// Picture 4 to 8 times as long as it is high, or the reverse.
    pub elongated: f32,
    /// Picture of 2,000 pixels or more.
    pub big: f32,
}

impl Source {
    /// The source's defects, in percent of its rows.
    pub const fn rates(self) -> Rates {
        let usual = Rates {
            blank: 0.0,
            duplicate: 1.0,
            mismatched: 1.0,
            foreign: 0.0,
            noisy: 0.0,
            repeated_url: 0.5,
            tiny: 0.3,
            elongated: 1.0,
            big: 1.0,
        };
        match self {
            Self::Laion => Rates {
                blank: 0.5,
                duplicate: 2.5,
                mismatched: 4.0,
                foreign: 4.0,
                noisy: 22.0,
                repeated_url: 1.5,
                tiny: 1.5,
                elongated: 3.0,
                big: 1.0,
            },
            Self::RedCaps => Rates { blank: 0.7, mismatched: 2.0, tiny: 0.0, big: 2.5, ..usual },
            Self::Cc3m => Rates { duplicate: 2.0, ..usual },
            Self::Cc12m => Rates { noisy: 8.0, mismatched: 3.0, ..usual },
            Self::Wit => {
                Rates { blank: 2.0, foreign: 6.0, repeated_url: 6.0, elongated: 3.0, big: 2.0, ..usual }
            }
            Self::Yfcc => Rates { blank: 0.3, noisy: 18.0, foreign: 3.0, mismatched: 3.0, ..usual },
            Self::Shutterstock => {
                Rates { duplicate: 0.5, mismatched: 0.2, tiny: 0.0, elongated: 0.5, big: 0.0, ..usual }
            }
        }
    }

    /// What the source's pictures show.
    pub const fn distribution(self) -> Distribution {
        match self {
            Self::Laion => Distribution {
                shapes: [9, 9, 7, 8, 7, 7, 8, 6, 7, 7, 8, 6],
                textures: [10, 6, 5, 5, 6, 4, 4, 4],
                backdrops: [8, 4, 2, 3],
                backdrop_colours: [2, 2, 3, 3, 2, 4, 2, 2, 2, 3, 12, 6],
                max_grain: 18,
                ..Distribution::EVEN
            },
            Self::RedCaps => Distribution {
                shapes: [4, 4, 6, 9, 3, 3, 12, 9, 3, 3, 2, 14],
                textures: [4, 3, 3, 6, 6, 10, 6, 3],
                colours: [3, 5, 4, 12, 4, 4, 3, 4, 12, 5, 4, 6],
                backdrops: [1, 2, 6, 8],
                backdrop_colours: [1, 2, 2, 12, 3, 6, 1, 1, 10, 3, 2, 5],
                counts: [12, 3, 2, 1, 1],
                max_extras: 2,
                max_grain: 40,
            },
            Self::Cc3m => Distribution {
                shapes: [10, 8, 6, 10, 5, 5, 9, 4, 6, 4, 5, 6],
                counts: [6, 4, 3, 2, 2],
                backdrops: [5, 5, 3, 2],
                max_extras: 2,
                ..Distribution::EVEN
            },
            Self::Cc12m => Distribution {
                shapes: [6, 6, 6, 7, 6, 6, 7, 6, 6, 6, 6, 6],
                counts: [5, 3, 2, 2, 2],
                max_extras: 2,
                max_grain: 24,
                ..Distribution::EVEN
            },
            Self::Wit => Distribution {
                shapes: [6, 6, 9, 8, 9, 12, 3, 10, 10, 9, 10, 5],
                textures: [14, 5, 5, 3, 3, 2, 3, 5],
                colours: [10, 4, 8, 7, 3, 10, 3, 2, 4, 9, 8, 6],
                backdrops: [10, 2, 4, 2],
                backdrop_colours: [1, 1, 2, 2, 1, 3, 1, 1, 2, 2, 20, 6],
                counts: [12, 3, 2, 1, 1],
                max_extras: 1,
                max_grain: 10,
            },
            Self::Yfcc => Distribution {
                shapes: [10, 4, 5, 6, 6, 4, 5, 8, 3, 3, 2, 12],
                textures: [3, 4, 3, 4, 10, 9, 8, 4],
                backdrops: [1, 3, 10, 8],
                backdrop_colours: [2, 3, 2, 8, 5, 12, 2, 2, 6, 4, 3, 6],
                max_extras: 2,
                max_grain: 48,
                ..Distribution::EVEN
            },
            Self::Shutterstock => Distribution {
                textures: [8, 8, 7, 8, 7, 4, 7, 7],
                backdrops: [14, 6, 1, 1],
                backdrop_colours: [2, 2, 2, 2, 2, 3, 2, 2, 1, 2, 24, 3],
                counts: [5, 4, 4, 4, 4],
                max_extras: 1,
                max_grain: 4,
                ..Distribution::EVEN
            },
        }
    }

    /// Draws width and height in pixels.
    pub(crate) fn draw_size(self, class: SizeClass, rng: &mut Rng) -> (u32, u32) {
        let rates = self.rates();
        let (longer, ratio) = match class {
            SizeClass::Small => return (rng.between(64, 96), rng.between(64, 96)),
            _ if rng.chance(rates.tiny) => (rng.between(1, 40), rng.span(0.5, 1.0)),
            _ if rng.chance(rates.elongated) => (rng.between(320, 900), rng.span(0.125, 0.25)),
            _ if rng.chance(rates.big) => (rng.between(2000, 2600), rng.span(0.55, 0.8)),
            _ => {
                let (low, high) = match self {
                    Self::Laion => (220, 700),
                    Self::RedCaps => (480, 1000),
                    Self::Cc3m | Self::Cc12m => (300, 700),
                    Self::Wit => (200, 800),
                    // Flickr's medium size and a stock site's previews have one fixed longer side.
                    Self::Yfcc => (500, 500),
                    Self::Shutterstock => (390, 390),
                };
                (rng.between(low, high), rng.pick(&[1.0, 0.75, 0.75, 0.667, 0.667, 0.5625, 0.8]))
            }
        };
        let shorter = ((longer as f32 * ratio) as u32).max(1);
        if rng.chance(35.0) { (shorter, longer) } else { (longer, shorter) }
    }

    /// Draws the file format. Most of the web is JPEG; the shares of chroma sampling follow the sample of ImageNet
    /// files in design.md (three quarters 4:4:4), the rest is a guess.
    pub(crate) fn draw_encoding(self, class: SizeClass, rng: &mut Rng) -> Encoding {
        let other = match (class, self) {
            (SizeClass::Small, _) => [100, 0, 0, 0],
            (_, Self::Wit) => [80, 14, 4, 2],
            (_, Self::Laion | Self::Cc12m | Self::RedCaps) => [90, 5, 4, 1],
            (_, Self::Cc3m) => [94, 4, 1, 1],
            (_, Self::Yfcc | Self::Shutterstock) => [100, 0, 0, 0],
        };
        match rng.weighted(&other) {
            1 => Encoding::Png,
            2 => Encoding::Webp { quality: rng.pick(&[75, 85, 100]) },
            3 => Encoding::Gif,
            _ => Encoding::Jpeg {
                quality: rng.pick(&[75, 80, 85, 90, 90, 95]),
                chroma: [Chroma::Full, Chroma::Quarter, Chroma::Half, Chroma::Grey]
                    [rng.weighted(&[60, 34, 3, 3])],
                progressive: class == SizeClass::Web && rng.chance(12.0),
            },
        }
    }
}
