//! The two protocols as data: what each does at the points where the published code and sound practice part
//! (`protocol.md` of the study's reading, §0). A run follows one of them whole; nothing here can be set by itself.

use pairmill_shards::results::{Protocol, Selection};
use pairmill_tokens::Truncation;

/// Warm-up of the study's fine-tuning, steps.
pub const WARMUP_STEPS: u64 = 500;
/// Largest share of a run that `corrected` spends on warm-up.
const WARMUP_SHARE: f64 = 0.1;
/// Validation images a class of a few-shot run, at most; Zhou et al. 2022 (CoOp, §4.1) take the same number.
pub const VALIDATION_SHOTS: u32 = 4;

/// The published code's behaviour that `as-published` reproduces, each as the record of a run lists it.
pub const DEFECTS: [&str; 7] = [
    "class names of the zero-shot head in the published order, which is not the order of the labels for 7 of 9 datasets",
    "few-shot accuracy of the five datasets with CSV lists (DomainNet REAL and CLIPART, EuroSAT, Cassava, Camera Traps) \
     on k test images a class, drawn from the same stream",
    "the linear probe trains on test features from its second epoch on",
    "the best epoch is chosen on the test set",
    "500 steps of warm-up, however short the run",
    "ImageNet's mean and standard deviation for a tower that was trained with CLIP's",
    "one draw, from NumPy's legacy global stream; of a class with fewer than k images, in those five datasets, with \
     replacement",
];

/// How classes become the rows of a zero-shot head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassOrder {
    /// Row i is class i.
    OfLabels,
    /// The study's lists.
    Published,
}

/// What a protocol means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Order of a zero-shot head's rows.
    pub class_order: ClassOrder,
    /// Whether few-shot runs of the CSV-list datasets are tested on k images a class.
    pub test_subsets: bool,
    /// Whether the probe slides onto the test features.
    pub probe_on_test: bool,
    /// Which epoch counts, unless the user says `last`.
    pub selection: Selection,
    /// Whether shots are drawn as NumPy's legacy generator does.
    pub numpy_draw: bool,
    /// Which end of a long prompt is lost.
    pub truncation: Truncation,
    caps_warmup: bool,
}

impl Rules {
    /// The rules of a protocol.
    pub fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Corrected => Self {
                class_order: ClassOrder::OfLabels,
                test_subsets: false,
                probe_on_test: false,
                selection: Selection::ValBest,
                numpy_draw: false,
                truncation: Truncation::EndToken,
                caps_warmup: true,
            },
            Protocol::AsPublished => Self {
                class_order: ClassOrder::Published,
                test_subsets: true,
                probe_on_test: true,
                selection: Selection::TestBest,
                numpy_draw: true,
                truncation: Truncation::Cut,
                caps_warmup: false,
            },
        }
    }

    /// Steps of warm-up of a run of `total` steps that asks for `wanted`.
    pub fn warmup(&self, wanted: u64, total: u64) -> u64 {
        if self.caps_warmup { wanted.min((total as f64 * WARMUP_SHARE).ceil() as u64) } else { wanted }
    }

    /// What the record of a run says of it.
    pub fn defects(protocol: Protocol) -> &'static [&'static str] {
        match protocol {
            Protocol::Corrected => &[],
            Protocol::AsPublished => &DEFECTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_warms_up_for_a_tenth_of_itself_unless_published() {
        let (corrected, published) = (Rules::of(Protocol::Corrected), Rules::of(Protocol::AsPublished));
        assert_eq!((corrected.warmup(500, 128), published.warmup(500, 128)), (13, 500));
        assert_eq!((corrected.warmup(500, 50_048), published.warmup(500, 50_048)), (500, 500));
    }
}
