//! Squares of a labelled set, in batches on the device, and the features of all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pairmill_pixels::Normalisation;
use tch::{Device, Tensor};

use super::classifier::Classifier;
use super::draw::Key;
use super::pictures::{Pictures, Square};
use super::probe::Features;
use crate::error::TrainError;
use crate::feed::Normalise;
use crate::model::Mode;
use crate::torch::TorchError;

/// Images a forward pass without gradients takes.
pub const EVAL_BATCH: usize = 256;

/// Images that are only looked at, with their classes.
#[derive(Debug, Clone)]
pub struct EvalSet {
    /// The pictures.
    pub pictures: Arc<Pictures>,
    /// How they are cut.
    pub square: Square,
    /// Which they are.
    pub keys: Vec<Key>,
    /// Class numbers.
    pub labels: Vec<i64>,
}

impl EvalSet {
    /// Positions of batches.
    pub fn batches(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let len = self.keys.len();
        (0..len).step_by(EVAL_BATCH).map(move |from| from..(from + EVAL_BATCH).min(len))
    }

    /// The pixels of some of them on a device, normalised.
    ///
    /// # Errors
    /// When a picture cannot be read back or memory runs out.
    pub(crate) fn pixels(
        &self,
        places: std::ops::Range<usize>,
        normalise: &Normalise,
        device: Device,
    ) -> Result<Tensor, TrainError> {
        let mut bytes = vec![0; places.len() * self.square.bytes()];
        let mut scratch = Vec::new();
        for (out, &key) in bytes.chunks_exact_mut(self.square.bytes()).zip(&self.keys[places.clone()]) {
            self.pictures.square(self.square, key, &mut scratch, out)?;
        }
        Ok(to_device(&bytes, places.len(), self.square.side, normalise, device)?)
    }
}

/// N×side×side×3 bytes as normalised floats on a device: N×3×side×side in channels-last memory.
///
/// # Errors
/// When memory runs out.
pub(crate) fn to_device(
    bytes: &[u8],
    count: usize,
    side: u32,
    normalise: &Normalise,
    device: Device,
) -> Result<Tensor, TorchError> {
    let side = i64::from(side);
    let bytes = Tensor::f_from_slice(bytes)?.f_view([count as i64, side, side, 3])?.f_to_device(device)?;
    Ok(normalise.apply(&bytes)?)
}

/// Unit features of pictures by their place in a dataset.
#[derive(Debug)]
pub struct FeatureTable {
    values: Tensor,
    rows: BTreeMap<Key, i64>,
}

impl FeatureTable {
    /// Runs all of `set` through the tower.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn compute(
        classifier: &Classifier,
        set: &EvalSet,
        statistics: Normalisation,
    ) -> Result<Self, TrainError> {
        let _no_grad = tch::no_grad_guard();
        let device = classifier.weights().device();
        let normalise = Normalise::new(statistics, device)?;
        let mut parts = Vec::new();
        for places in set.batches() {
            let pixels = set.pixels(places, &normalise, device)?;
            parts.push(classifier.features(&pixels, Mode::Eval)?);
        }
        let rows = set.keys.iter().copied().zip(0..).collect();
        Ok(Self { values: Tensor::f_cat(&parts, 0)?, rows })
    }

    /// The features of some pictures, with their classes.
    ///
    /// # Errors
    /// When one is not in the table.
    pub fn select(&self, keys: &[Key], labels: &[i64]) -> Result<Features, TrainError> {
        let rows: Option<Vec<i64>> = keys.iter().map(|key| self.rows.get(key).copied()).collect();
        let rows = rows.ok_or_else(|| TrainError::Transfer("a picture has no features".into()))?;
        let device = self.values.device();
        Ok(Features {
            values: self.values.f_index_select(0, &Tensor::f_from_slice(&rows)?.f_to_device(device)?)?,
            labels: Tensor::f_from_slice(labels)?.f_to_device(device)?,
        })
    }
}
