//! Which images a run trains, validates and tests on: the protocol's draw from a dataset's splits.

use pairmill_shards::results::{Protocol, Shots};

use super::protocol::{Rules, VALIDATION_SHOTS};
use pairmill_datasets::shots::{self, PublishedDraw, Replacement, ShotError};
use pairmill_datasets::{LabelledSet, Part};

/// Share of each class of the training part that `corrected` holds out where a dataset has no validation split.
pub const VALIDATION_SHARE: f64 = 0.1;
/// Seed of that split: one for all runs, so that no run trains on what chooses another's settings.
const VALIDATION_SEED: u64 = 0;

/// An image of a dataset: its part, and its place there.
pub type Key = (Part, usize);

/// The images of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// To train on; may hold one twice where the study drew with replacement.
    pub train: Vec<Key>,
    /// Of the validation part, or held out of the training part; none as published.
    pub val: Vec<Key>,
    /// To test on.
    pub test: Vec<Key>,
}

fn keys(part: Part, places: Vec<usize>) -> Vec<Key> {
    places.into_iter().map(|place| (part, place)).collect()
}

impl Draw {
    /// Draws by the rules of `protocol`.
    ///
    /// # Errors
    /// When a class has fewer images than shots.
    pub fn new(set: &LabelledSet, protocol: Protocol, shots: Shots, seed: u64) -> Result<Self, ShotError> {
        match protocol {
            Protocol::Corrected => Self::corrected(set, shots, seed),
            Protocol::AsPublished => Self::published(set, shots, seed),
        }
    }

    /// Nested shots from what validation leaves; up to four validation images a class with few shots, all with all.
    fn corrected(set: &LabelledSet, shots: Shots, seed: u64) -> Result<Self, ShotError> {
        let everything = shots::everything(&set.train);
        let (pool, held, from) = match &set.val {
            Some(val) => (everything, shots::everything(val), Part::Val),
            None => {
                let classes = set.classes.len();
                let (kept, held) =
                    shots::hold_out(&set.train, &everything, classes, VALIDATION_SHARE, VALIDATION_SEED);
                (kept, held, Part::Train)
            }
        };
        let (train, held) = match shots {
            Shots::Zero => (Vec::new(), held),
            Shots::All => (pool, held),
            Shots::PerClass(k) => {
                let few = k.min(VALIDATION_SHOTS);
                (
                    shots::draw_nested(&set.train, &pool, &set.classes, k, seed)?,
                    shots::draw_up_to(set.part(from), &held, &set.classes, few, seed)?,
                )
            }
        };
        Ok(Self {
            train: keys(Part::Train, train),
            val: keys(from, held),
            test: keys(Part::Test, shots::everything(&set.test)),
        })
    }

    /// NumPy's stream; for the datasets the study read from tables the test images come from it as well.
    fn published(set: &LabelledSet, shots: Shots, seed: u64) -> Result<Self, ShotError> {
        let (train, test) = (shots::everything(&set.train), shots::everything(&set.test));
        let (train, test) = match shots {
            Shots::Zero => (Vec::new(), test),
            Shots::All => (train, test),
            Shots::PerClass(k) => {
                let by_table = set.kind.was_table_in_study();
                let replacement = if by_table { Replacement::WhenShort } else { Replacement::Never };
                let mut stream = PublishedDraw::new(seed as u32);
                let train = stream.draw(&set.train, &train, &set.classes, k, replacement)?;
                let test = match by_table && Rules::of(Protocol::AsPublished).test_subsets {
                    true => stream.draw(&set.test, &test, &set.classes, k, replacement)?,
                    false => test,
                };
                (train, test)
            }
        };
        Ok(Self { train: keys(Part::Train, train), val: Vec::new(), test: keys(Part::Test, test) })
    }
}
