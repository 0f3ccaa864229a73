//! Where a loader stands: enough to go on exactly there, on another number of ranks too.

use serde::{Deserialize, Serialize};

use crate::config::{LoaderConfig, Order};
use crate::dataset::Dataset;
use crate::error::LoaderError;

/// Position of a loader between two batches. The same on every rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// The shards' names, counts and weights, hashed.
    pub dataset: String,
    /// The seed.
    pub seed: u64,
    /// The order.
    pub order: Order,
    /// Shards per window.
    pub window_shards: usize,
    /// [`LoaderConfig::epoch_samples`].
    pub epoch_samples: Option<u64>,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Global positions of this epoch that were delivered, over all ranks.
    pub consumed: u64,
}

impl LoaderState {
    pub(crate) fn at(dataset: &Dataset, config: &LoaderConfig, epoch: u64, consumed: u64) -> Self {
        Self {
            dataset: dataset.fingerprint().to_owned(),
            seed: config.seed,
            order: config.order,
            window_shards: config.window_shards,
            epoch_samples: config.epoch_samples,
            epoch,
            consumed,
        }
    }

    /// Refuses to go on with another order of samples.
    pub(crate) fn check(&self, dataset: &Dataset, config: &LoaderConfig) -> Result<(), LoaderError> {
        let now = Self::at(dataset, config, self.epoch, self.consumed);
        let same = |what, then: String, now: String| match then == now {
            true => Ok(()),
            false => Err(LoaderError::Resume { what, then, now }),
        };
        same("the set of shards", self.dataset.clone(), now.dataset)?;
        same("the seed", self.seed.to_string(), now.seed.to_string())?;
        same("the order", format!("{:?}", self.order), format!("{:?}", now.order))?;
        same("window_shards", self.window_shards.to_string(), now.window_shards.to_string())?;
        let samples = |n: Option<u64>| n.map_or("one pass".to_owned(), |n| n.to_string());
        same("epoch_samples", samples(self.epoch_samples), samples(now.epoch_samples))
    }
}
