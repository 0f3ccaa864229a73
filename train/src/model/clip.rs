//! Both towers and the logit scale.

use tch::{Device, Tensor};

use super::{Architecture, Mode, ModelError, Recompute, Text, Visual, assign};
use crate::weights::{Init, Weights};

/// A CLIP model and its weights.
#[derive(Debug)]
pub struct Clip {
    architecture: Architecture,
    weights: Weights,
    visual: Visual,
    text: Text,
    logit_scale: Tensor,
}

impl Clip {
    /// Natural logarithm of the factor that logits start with, 1/0.07.
    pub const INITIAL_LOGIT_SCALE: f64 = 2.659_260_036_932_778;

    /// A model with fresh weights: open_clip's distributions, drawn from libtorch's CPU generator
    /// ([`crate::torch::rng::seed`] it), so a seed gives the same weights on every device.
    ///
    /// # Errors
    /// When the architecture is invalid or memory runs out.
    pub fn new(architecture: &Architecture, device: Device) -> Result<Self, ModelError> {
        architecture.validate()?;
        let Architecture { embed_dim, activation, ref visual, ref text, .. } = *architecture;
        let weights = Weights::new(device);
        let root = weights.root();
        let visual = Visual::new(&root.part("visual"), visual, activation, embed_dim)?;
        let text = Text::new(&root, text, activation, embed_dim)?;
        let logit_scale = root.parameter("logit_scale", &[], Init::Constant(Self::INITIAL_LOGIT_SCALE))?;
        Ok(Self { architecture: architecture.clone(), visual, text, logit_scale, weights })
    }

    /// What it was built from.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Every weight by open_clip's name.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The learned logarithm of the factor of all logits; a scalar.
    pub fn logit_scale(&self) -> &Tensor {
        &self.logit_scale
    }

    /// The image tower.
    pub fn visual(&self) -> &Visual {
        &self.visual
    }

    /// The text tower.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Whether blocks are computed again in backward from now on.
    pub fn set_recompute(&mut self, recompute: Recompute) {
        self.visual.set_recompute(recompute);
        self.text.set_recompute(recompute);
    }

    /// Features of pictures; see [`Visual::encode`].
    ///
    /// # Errors
    /// As there.
    pub fn encode_image(&self, pixels: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        self.visual.encode(pixels, mode)
    }

    /// Features of texts; see [`Text::encode`].
    ///
    /// # Errors
    /// As there.
    pub fn encode_text(&self, tokens: &Tensor) -> Result<Tensor, ModelError> {
        self.text.encode(tokens)
    }

    /// Takes the values of a checkpoint: `named` must hold every weight of the model, and nothing else, in its shape.
    /// Types are converted. Nothing is changed unless everything fits.
    ///
    /// # Errors
    /// With all names that are missing, unknown or of another shape.
    pub fn assign(&self, named: impl IntoIterator<Item = (String, Tensor)>) -> Result<(), ModelError> {
        assign::assign(&self.weights, named)
    }
}
