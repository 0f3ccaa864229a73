//! One seed, one web: the pure functions from (seed, source, index) to pictures and captions that everything else
//! (tables, server, tasks) reads.

use crate::caption::{self, Caption};
use crate::encode::Encoding;
use crate::picture::Picture;
use crate::rng::Rng;
use crate::source::{SizeClass, Source};

/// What fixes a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldConfig {
    /// The seed.
    pub seed: u64,
    /// How large the pictures are.
    pub sizes: SizeClass,
    /// Number of different pictures a source has before they repeat (indexes are taken modulo this); `None`: they
    /// never do. Captions and URLs differ all the same. A server then caches them all and costs next to nothing.
    pub distinct: Option<u64>,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { seed: 1, sizes: SizeClass::Web, distinct: None }
    }
}

/// A deterministic miniature web.
#[derive(Debug, Clone)]
pub struct World {
    config: WorldConfig,
}

// What a stream of numbers is for, so that no two uses share one.
const PICTURE: u64 = 1;
const CAPTION: u64 = 2;

impl World {
    /// The world of `config`.
    pub fn new(config: WorldConfig) -> Self {
        Self { config }
    }

    /// What fixes this world.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// The index that stands for `index` once repetition is taken into account.
    pub fn canonical_index(&self, index: u64) -> u64 {
        match self.config.distinct {
            Some(distinct) => index % distinct.max(1),
            None => index,
        }
    }

    /// Picture `index` of `source`.
    pub fn picture(&self, source: Source, index: u64) -> Picture {
        let index = self.canonical_index(index);
        let mut rng = Rng::of(&[self.config.seed, PICTURE, source as u64, index]);
        let scene = source.distribution().draw(&mut rng);
        let (width, height) = source.draw_size(self.config.sizes, &mut rng);
        let encoding = source.draw_encoding(self.config.sizes, &mut rng);
        Picture { scene, width, height, encoding }
    }

    /// The picture behind the fault URLs of (source, index): the same scene as [`World::picture`], so that captions
    /// still fit, as a plain baseline JPEG of 160–512 pixels a side, so that every fault has a body to act on.
    pub fn fault_picture(&self, source: Source, index: u64) -> Picture {
        let picture = self.picture(source, index);
        Picture {
            width: picture.width.clamp(160, 512),
            height: picture.height.clamp(160, 512),
            encoding: Encoding::PLAIN,
            ..picture
        }
    }

    /// The caption that comes with picture `index` of `source`, in the source's style and with its defects.
    pub fn caption(&self, source: Source, index: u64) -> Caption {
        self.caption_of(source, index, index)
    }

    /// The caption of row `row`, which shows picture `index`: a picture that comes twice is captioned twice.
    pub(crate) fn caption_of(&self, source: Source, row: u64, index: u64) -> Caption {
        let mut rng = Rng::of(&[self.config.seed, CAPTION, source as u64, row]);
        let rates = source.rates();
        if row > 0 && rng.chance(rates.duplicate) {
            let earlier = row - 1 - rng.below(row.min(50));
            return caption::duplicate(&self.picture(source, earlier).scene, source, &mut rng);
        }
        if rng.chance(rates.mismatched) {
            let other = self.picture(source, index ^ (1 << 40)).scene;
            let mut caption = caption::write(&other, source, &mut rng);
            caption.faithful = false;
            return caption;
        }
        caption::write(&self.picture(source, index).scene, source, &mut rng)
    }
}
