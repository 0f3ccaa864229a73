//! CLIP's vision transformer: patches as tokens behind a class token, whose end is the feature.

use tch::Tensor;

use super::architecture::{Activation, VitArchitecture};
use super::block::{Shape, Sight, Start, Transformer};
use super::layer::{Convolution, LayerNorm, like};
use super::{Recompute, Result};
use crate::weights::{Init, Scope};

/// The image tower of CLIP's ViT models.
#[derive(Debug)]
pub(super) struct VisionTransformer {
    conv1: Convolution,
    class_embedding: Tensor,
    positional_embedding: Tensor,
    ln_pre: LayerNorm,
    transformer: Transformer,
    ln_post: LayerNorm,
    proj: Tensor,
}

impl VisionTransformer {
    pub fn new(
        scope: &Scope<'_>,
        architecture: &VitArchitecture,
        activation: Activation,
        embed_dim: i64,
    ) -> Result<Self> {
        let VitArchitecture { patch_size, layers, width, .. } = *architecture;
        let init = Init::Normal { std: (width as f64).powf(-0.5) };
        let tokens = architecture.grid() * architecture.grid() + 1;
        let shape = Shape {
            width,
            heads: architecture.heads(),
            layers,
            activation,
            sight: Sight::Both,
            start: Start::Torch,
        };
        Ok(Self {
            class_embedding: scope.parameter("class_embedding", &[width], init)?,
            positional_embedding: scope.parameter("positional_embedding", &[tokens, width], init)?,
            conv1: Convolution::new(&scope.part("conv1"), 3, width, patch_size, patch_size, 0)?,
            ln_pre: LayerNorm::new(&scope.part("ln_pre"), width)?,
            transformer: Transformer::new(&scope.part("transformer"), shape)?,
            ln_post: LayerNorm::new(&scope.part("ln_post"), width)?,
            proj: scope.parameter("proj", &[width, embed_dim], init)?,
        })
    }

    /// N×3×H×W to N×embed_dim.
    pub fn forward(&self, pixels: &Tensor, recompute: Recompute) -> Result<Tensor> {
        let x = self.conv1.forward(pixels)?.f_flatten(2, -1)?.f_transpose(1, 2)?;
        let (n, width) = (x.size()[0], x.size()[2]);
        let class = like(self.class_embedding.shallow_clone(), &x)?.f_expand([n, 1, width], false)?;
        let x = Tensor::f_cat(&[&class, &x], 1)?;
        let x = x.f_add(&like(self.positional_embedding.shallow_clone(), &x)?)?;
        let x = self.ln_pre.forward(&x)?;
        let pooled = self.transformer.forward_one(&x, None, recompute)?;
        Ok(self.ln_post.forward(&pooled)?.f_matmul(&self.proj)?)
    }
}
