//! An image tower with a linear head over its unit features: what is fine-tuned. The tower's names are those of the
//! whole model, so that weights go from one to the other by name.

use tch::{Tensor, no_grad};

use crate::model::{Architecture, Clip, Mode, ModelError, Recompute, Visual};
use crate::objective::normalise;
use crate::torch::TorchError;
use crate::weights::{Init, Scope, Weights};

/// Before the names of the image tower.
const TOWER: &str = "visual";
/// The head's name.
const HEAD: &str = "head";

/// A linear layer over unit features, not yet part of a classifier.
#[derive(Debug)]
pub struct Head {
    /// classes × embedding.
    pub weight: Tensor,
    /// One a class.
    pub bias: Tensor,
}

impl Head {
    /// A zero-shot head as a layer: `directions` (classes × embedding, unit rows) times exp of `logit_scale`, no bias
    /// (WiSE-FT, `src/models/zeroshot.py`).
    ///
    /// # Errors
    /// When memory runs out.
    pub fn zero_shot(directions: &Tensor, logit_scale: &Tensor) -> Result<Self, TorchError> {
        let weight = no_grad(|| directions.f_mul(&logit_scale.f_exp()?))?;
        let bias = Tensor::f_zeros([weight.size()[0]], (weight.kind(), weight.device()))?;
        Ok(Self { weight, bias })
    }

    /// One that learns, under `scope`, with PyTorch's values for a fresh linear layer: uniform within 1/√`width`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn learned(scope: &Scope<'_>, classes: i64, width: i64) -> Result<Self, TorchError> {
        let init = Init::Uniform { bound: (width as f64).sqrt().recip() };
        let weight = scope.parameter("weight", &[classes, width], init)?;
        Ok(Self { weight, bias: scope.parameter("bias", &[classes], init)? })
    }

    /// Takes another's values.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn take(&self, other: &Self) -> Result<(), TorchError> {
        copy(&other.weight, &self.weight)?;
        copy(&other.bias, &self.bias)
    }

    /// Its values, apart from it.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn copy(&self) -> Result<Self, TorchError> {
        Ok(Self { weight: self.weight.f_detach_copy()?, bias: self.bias.f_detach_copy()? })
    }
}

/// Tower and head.
#[derive(Debug)]
pub struct Classifier {
    weights: Weights,
    visual: Visual,
    head: Head,
}

impl Classifier {
    /// Fresh weights from libtorch's CPU generator.
    ///
    /// # Errors
    /// When memory runs out or the architecture is invalid.
    pub fn new(
        architecture: &Architecture,
        num_classes: usize,
        device: tch::Device,
    ) -> Result<Self, ModelError> {
        architecture.validate()?;
        let weights = Weights::new(device);
        let root = weights.root();
        let visual = Visual::new(
            &root.part(TOWER),
            &architecture.visual,
            architecture.activation,
            architecture.embed_dim,
        )?;
        let head = Head::learned(&root.part(HEAD), num_classes as i64, architecture.embed_dim)?;
        Ok(Self { weights, visual, head })
    }

    /// Every weight: the tower's as in the whole model, `head.weight`, `head.bias`.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Takes the image tower of a whole model.
    ///
    /// # Errors
    /// When it is of another architecture.
    pub fn take_tower(&self, clip: &Clip) -> Result<(), ModelError> {
        let all = clip.weights().all();
        let mine = self.weights.all();
        let tower = mine.iter().filter(|weight| weight.name.starts_with(TOWER));
        for weight in tower {
            let Some(from) = all.iter().find(|other| other.name == weight.name) else {
                return Err(TorchError(format!("the model has no {}", weight.name)).into());
            };
            copy(&from.tensor, &weight.tensor)?;
        }
        Ok(())
    }

    /// The head, sharing memory.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether blocks are computed again in backward from now on.
    pub fn set_recompute(&mut self, recompute: Recompute) {
        self.visual.set_recompute(recompute);
    }

    /// Unit features of pictures (as [`Visual::encode`] takes them): N×embedding.
    ///
    /// # Errors
    /// As there.
    pub fn features(&self, pixels: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        Ok(normalise(&self.visual.encode(pixels, mode)?)?)
    }

    /// Scores of unit features: N×classes.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn score(&self, features: &Tensor) -> Result<Tensor, ModelError> {
        Ok(features.f_linear(&self.head.weight, Some(&self.head.bias))?)
    }

    /// Copies of all values, in the order of [`Weights::all`].
    ///
    /// # Errors
    /// When memory runs out.
    pub fn snapshot(&self) -> Result<Vec<Tensor>, ModelError> {
        no_grad(|| self.weights.all().iter().map(|weight| Ok(weight.tensor.f_detach_copy()?)).collect())
    }

    /// Takes the values of a [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// When it is another model's.
    pub fn restore(&self, snapshot: &[Tensor]) -> Result<(), ModelError> {
        for (weight, value) in self.weights.all().iter().zip(snapshot) {
            copy(value, &weight.tensor)?;
        }
        Ok(())
    }

    /// Takes (1 − `alpha`) × `zero` + `alpha` × `tuned`, weight by weight (Wortsman et al. 2022, §3): 0 is the model
    /// before fine-tuning, 1 the one after. Running statistics of batch norm go the same way; counters are `tuned`'s.
    ///
    /// # Errors
    /// When either is another model's.
    pub fn interpolate(&self, zero: &[Tensor], tuned: &[Tensor], alpha: f64) -> Result<(), ModelError> {
        for ((weight, zero), tuned) in self.weights.all().iter().zip(zero).zip(tuned) {
            if tuned.is_floating_point() {
                let mixed = (zero.f_mul_scalar(1.0 - alpha)?).f_add(&tuned.f_mul_scalar(alpha)?)?;
                copy(&mixed, &weight.tensor)?;
            } else {
                copy(tuned, &weight.tensor)?;
            }
        }
        Ok(())
    }
}

fn copy(from: &Tensor, to: &Tensor) -> Result<(), TorchError> {
    if from.size() != to.size() {
        return Err(TorchError(format!("a weight of {:?} cannot take {:?}", to.size(), from.size())));
    }
    no_grad(|| to.shallow_clone().f_copy_(from))?;
    Ok(())
}
