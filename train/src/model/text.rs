//! CLIP's text tower: a causal transformer over token ids, whose state at the end token is the feature.

use tch::{Kind, Tensor};

use super::architecture::{Activation, TextArchitecture};
use super::block::{Shape, Sight, Start, Transformer};
use super::layer::LayerNorm;
use super::{ModelError, Recompute, Result};
use crate::torch::TorchError;
use crate::weights::{Init, Scope};

/// Lengths that [`trimmed`] cuts to are multiples of this, so that batches come in few shapes.
const LENGTH_STEP: i64 = 8;

/// The text tower. Its names have no prefix in open_clip: make it at the root scope.
#[derive(Debug)]
pub struct Text {
    token_embedding: Tensor,
    positional_embedding: Tensor,
    transformer: Transformer,
    ln_final: LayerNorm,
    text_projection: Tensor,
    architecture: TextArchitecture,
    recompute: Recompute,
}

impl Text {
    /// Fresh weights under `scope`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(
        scope: &Scope<'_>,
        architecture: &TextArchitecture,
        activation: Activation,
        embed_dim: i64,
    ) -> Result<Self, ModelError> {
        let TextArchitecture { context_length, vocab_size, width, heads, layers } = *architecture;
        let shape = Shape { width, heads, layers, activation, sight: Sight::Back, start: Start::Clip };
        let normal = |std| Init::Normal { std };
        // In the order of the forward pass: backward then reaches the last first, and ranks exchange gradients in turn.
        Ok(Self {
            token_embedding: scope.part("token_embedding").parameter(
                "weight",
                &[vocab_size, width],
                normal(0.02),
            )?,
            positional_embedding: scope.parameter(
                "positional_embedding",
                &[context_length, width],
                normal(0.01),
            )?,
            transformer: Transformer::new(&scope.part("transformer"), shape)?,
            ln_final: LayerNorm::new(&scope.part("ln_final"), width)?,
            text_projection: scope.parameter(
                "text_projection",
                &[width, embed_dim],
                normal((width as f64).powf(-0.5)),
            )?,
            architecture: architecture.clone(),
            recompute: Recompute::Never,
        })
    }

    /// Whether blocks are computed again in backward from now on.
    pub fn set_recompute(&mut self, recompute: Recompute) {
        self.recompute = recompute;
    }

    /// Features of texts: `tokens` is N×L ids of i64, zero behind the end token, L at most the context length (a
    /// shorter L gives the same features as padding does). N×embed_dim, not normalised.
    ///
    /// # Errors
    /// When the shape or type is another, an id is outside the vocabulary, or memory runs out.
    pub fn encode(&self, tokens: &Tensor) -> Result<Tensor, ModelError> {
        let context = self.architecture.context_length;
        match tokens.size()[..] {
            [n, l] if n >= 1 && (1..=context).contains(&l) && tokens.kind() == Kind::Int64 => {}
            _ => {
                let found = format!("{:?} of {:?}", tokens.size(), tokens.kind());
                return Err(ModelError::TokenShape { context, found });
            }
        }
        Ok(self.forward(tokens)?)
    }

    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let x = Tensor::f_embedding(&self.token_embedding, tokens, -1, false, false)?;
        let x = x.f_add(&self.positional_embedding.f_narrow(0, 0, tokens.size()[1])?)?;
        // The end token has the highest id.
        let ends = tokens.f_argmax(1, false)?;
        let pooled = self.transformer.forward_one(&x, Some(&ends), self.recompute)?;
        Ok(self.ln_final.forward(&pooled)?.f_matmul(&self.text_projection)?)
    }
}

/// Cuts the padding off a batch of texts on the CPU: columns behind the last end token of all of them, which no
/// feature depends on. `tokens` is N×L, the result N×L' with L' a multiple of 8 or L. Captions are a third as long as
/// the context on average, so this is most of the text tower's work.
///
/// # Errors
/// When `tokens` is no matrix.
pub fn trimmed(tokens: &Tensor) -> Result<Tensor, TorchError> {
    let length = match tokens.size()[..] {
        [n, l] if n > 0 && l > 0 => l,
        _ => return Err(TorchError(format!("tokens of shape {:?} are no batch of texts", tokens.size()))),
    };
    let last = i64::try_from(&tokens.f_argmax(1, false)?.f_max()?)?;
    Ok(tokens.f_narrow(1, 0, ((last + 1 + LENGTH_STEP - 1) / LENGTH_STEP * LENGTH_STEP).min(length))?)
}
