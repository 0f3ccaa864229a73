//! The transformer of both towers: blocks of attention and MLP, each with a layer norm before and a shortcut around.
//!
//! Both towers end in one token of a sequence, so the last block computes that token alone: its keys and values come
//! from the whole sequence, everything behind them from one row. The features are the same, the work is less.

use tch::Tensor;

use super::architecture::{Activation, MLP_RATIO};
use super::layer::{LayerNorm, Linear};
use super::{Recompute, Result};
use crate::torch::recompute;
use crate::weights::{Init, Scope};

const NO_MASK: Option<&Tensor> = None;

/// Which tokens a token looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of them.
    Both,
    /// Itself and those before it.
    Back,
}

/// Initial values of a transformer's matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// PyTorch's own, which CLIP leaves to the image tower.
    Torch,
    /// CLIP's text tower: normal, shrinking with width and depth.
    Clip,
}

/// Shape of a transformer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub width: i64,
    pub heads: i64,
    pub layers: i64,
    pub activation: Activation,
    pub sight: Sight,
    pub start: Start,
}

/// A stack of blocks.
#[derive(Debug)]
pub(super) struct Transformer {
    blocks: Vec<Block>,
}

impl Transformer {
    pub fn new(scope: &Scope<'_>, shape: Shape) -> Result<Self> {
        let scope = scope.part("resblocks");
        let blocks = (0..shape.layers).map(|i| Block::new(&scope.part(i), shape)).collect::<Result<_>>()?;
        Ok(Self { blocks })
    }

    /// One token of every sequence: `x` is N×L×width, `positions` (N, i64) says which; `None` is the first. N×width.
    pub fn forward_one(
        &self,
        x: &Tensor,
        positions: Option<&Tensor>,
        recompute: Recompute,
    ) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        let (last, others) = self.blocks.split_last().ok_or_else(|| empty("a transformer without blocks"))?;
        for block in others {
            x = match recompute {
                Recompute::Never => block.forward(&x)?,
                Recompute::Blocks => {
                    let again = block.clone();
                    recompute::recomputed(&x, &block.parameters(), move |x, _| again.forward(x))?
                }
            };
        }
        last.forward_one(&x, positions)
    }
}

fn empty(what: &str) -> crate::torch::TorchError {
    crate::torch::TorchError(what.to_string())
}

#[derive(Debug, Clone)]
struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    c_fc: Linear,
    c_proj: Linear,
    activation: Activation,
}

impl Block {
    fn new(scope: &Scope<'_>, shape: Shape) -> Result<Self> {
        let width = shape.width as f64;
        let clip = |std: f64| (shape.start == Start::Clip).then_some(Init::Normal { std });
        let (hidden, mlp) = (shape.width * MLP_RATIO, scope.part("mlp"));
        let shrunk = width.powf(-0.5) * (2.0 * shape.layers as f64).powf(-0.5);
        Ok(Self {
            ln_1: LayerNorm::new(&scope.part("ln_1"), shape.width)?,
            attn: Attention::new(&scope.part("attn"), shape, clip(width.powf(-0.5)), clip(shrunk))?,
            ln_2: LayerNorm::new(&scope.part("ln_2"), shape.width)?,
            c_fc: Linear::new(&mlp.part("c_fc"), shape.width, hidden, clip((2.0 * width).powf(-0.5)), None)?,
            c_proj: Linear::new(&mlp.part("c_proj"), hidden, shape.width, clip(shrunk), None)?,
            activation: shape.activation,
        })
    }

    fn parameters(&self) -> Vec<Tensor> {
        let Self { ln_1, attn, ln_2, c_fc, c_proj, .. } = self;
        let mut all = Vec::with_capacity(12);
        all.extend(ln_1.parameters());
        all.extend([attn.in_proj_weight.shallow_clone(), attn.in_proj_bias.shallow_clone()]);
        all.extend(attn.out_proj.parameters());
        all.extend(ln_2.parameters());
        all.extend(c_fc.parameters());
        all.extend(c_proj.parameters());
        all
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.f_add(&self.attn.forward(&self.ln_1.forward(x)?)?)?;
        self.with_mlp(&x)
    }

    fn forward_one(&self, x: &Tensor, positions: Option<&Tensor>) -> Result<Tensor> {
        let normed = self.ln_1.forward(x)?;
        let attended = self.attn.forward_one(&normed, positions)?;
        self.with_mlp(&token(x, positions)?.f_add(&attended)?)
    }

    fn with_mlp(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.c_fc.forward(&self.ln_2.forward(x)?)?;
        let hidden = match self.activation {
            Activation::Gelu => hidden.f_gelu("none")?,
            Activation::QuickGelu => hidden.f_mul(&hidden.f_mul_scalar(1.702)?.f_sigmoid()?)?,
        };
        Ok(x.f_add(&self.c_proj.forward(&hidden)?)?)
    }
}

/// Multi-head attention of a sequence to itself, with the projections of queries, keys and values in one matrix.
#[derive(Debug)]
struct Attention {
    in_proj_weight: Tensor,
    in_proj_bias: Tensor,
    out_proj: Linear,
    width: i64,
    heads: i64,
    sight: Sight,
}

impl Attention {
    fn new(scope: &Scope<'_>, shape: Shape, inner: Option<Init>, outer: Option<Init>) -> Result<Self> {
        let Shape { width, heads, sight, .. } = shape;
        // nn.MultiheadAttention: Xavier's uniform over the matrix of 3·width by width.
        let xavier = Init::Uniform { bound: (6.0 / (4 * width) as f64).sqrt() };
        let zero = Init::Constant(0.0);
        Ok(Self {
            in_proj_weight: scope.parameter(
                "in_proj_weight",
                &[3 * width, width],
                inner.unwrap_or(xavier),
            )?,
            in_proj_bias: scope.parameter("in_proj_bias", &[3 * width], zero)?,
            out_proj: Linear::new(&scope.part("out_proj"), width, width, outer, Some(zero))?,
            width,
            heads,
            sight,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, l) = (x.size()[0], x.size()[1]);
        let qkv = x.f_linear(&self.in_proj_weight, Some(&self.in_proj_bias))?;
        let [q, k, v] = self.split::<3>(&qkv, n, l)?;
        let causal = self.sight == Sight::Back;
        let y = Tensor::f_scaled_dot_product_attention(&q, &k, &v, NO_MASK, 0.0, causal, None, false)?;
        self.out_proj.forward(&y.f_transpose(1, 2)?.f_reshape([n, l, self.width])?)
    }

    /// The attention of one token of each sequence; N×width.
    fn forward_one(&self, x: &Tensor, positions: Option<&Tensor>) -> Result<Tensor> {
        let (n, l) = (x.size()[0], x.size()[1]);
        let part = |start, length| -> Result<(Tensor, Tensor)> {
            Ok((
                self.in_proj_weight.f_narrow(0, start, length)?,
                self.in_proj_bias.f_narrow(0, start, length)?,
            ))
        };
        let (weight, bias) = part(0, self.width)?;
        let q = token(x, positions)?.f_linear(&weight, Some(&bias))?;
        let q = q.f_reshape([n, self.heads, 1, self.width / self.heads])?;
        let (weight, bias) = part(self.width, 2 * self.width)?;
        let [k, v] = self.split::<2>(&x.f_linear(&weight, Some(&bias))?, n, l)?;
        let mask = match (self.sight, positions) {
            (Sight::Both, _) => None,
            (Sight::Back, positions) => {
                let columns = Tensor::f_arange(l, (tch::Kind::Int64, x.device()))?;
                let seen = match positions {
                    Some(positions) => columns.f_le_tensor(&positions.f_unsqueeze(1)?)?,
                    None => columns.f_le(0)?.f_unsqueeze(0)?,
                };
                Some(seen.f_unsqueeze(1)?.f_unsqueeze(1)?)
            }
        };
        let y = Tensor::f_scaled_dot_product_attention(&q, &k, &v, mask.as_ref(), 0.0, false, None, false)?;
        self.out_proj.forward(&y.f_reshape([n, self.width])?)
    }

    /// N×L×(P·width) into P tensors of N×heads×L×(width/heads).
    fn split<const P: usize>(&self, x: &Tensor, n: i64, l: i64) -> Result<[Tensor; P]> {
        let x = x.f_reshape([n, l, P as i64, self.heads, self.width / self.heads])?;
        let parts = x.f_permute([2, 0, 3, 1, 4])?.f_unbind(0)?;
        parts.try_into().map_err(|_| empty("attention split into the wrong number of parts"))
    }
}

impl Clone for Attention {
    fn clone(&self) -> Self {
        Self {
            in_proj_weight: self.in_proj_weight.shallow_clone(),
            in_proj_bias: self.in_proj_bias.shallow_clone(),
            out_proj: self.out_proj.clone(),
            ..*self
        }
    }
}

/// One token of every sequence (N×L×width to N×width): the first, or those at `positions`.
fn token(x: &Tensor, positions: Option<&Tensor>) -> Result<Tensor> {
    match positions {
        None => Ok(x.f_select(1, 0)?),
        Some(positions) => {
            let width = x.size()[2];
            let index = positions.f_reshape([-1, 1, 1])?.f_expand([-1, 1, width], false)?;
            Ok(x.f_gather(1, &index, false)?.f_squeeze_dim(1)?)
        }
    }
}
