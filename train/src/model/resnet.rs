//! CLIP's ResNet: three convolutions in front, average pooling wherever the stride is 2, and attention of the mean to
//! all positions at the end.

use tch::Tensor;

use super::architecture::ResnetArchitecture;
use super::layer::{BatchNorm, Convolution, Linear, like};
use super::{Mode, Recompute, Result};
use crate::torch::recompute::{self, Pass};
use crate::weights::{Init, Scope};

/// Channels of a block's output, relative to those inside.
const EXPANSION: i64 = 4;
const NO_MASK: Option<&Tensor> = None;

/// The image tower of CLIP's RN models.
#[derive(Debug)]
pub(super) struct Resnet {
    stem: [(Convolution, BatchNorm); 3],
    blocks: Vec<Bottleneck>,
    attnpool: AttentionPool,
}

impl Resnet {
    pub fn new(scope: &Scope<'_>, architecture: &ResnetArchitecture, embed_dim: i64) -> Result<Self> {
        let width = architecture.width;
        let first = |i: usize, input, output, stride| -> Result<(Convolution, BatchNorm)> {
            Ok((
                Convolution::new(&scope.part(format_args!("conv{i}")), input, output, 3, stride, 1)?,
                BatchNorm::new(&scope.part(format_args!("bn{i}")), output, 1.0)?,
            ))
        };
        let stem =
            [first(1, 3, width / 2, 2)?, first(2, width / 2, width / 2, 1)?, first(3, width / 2, width, 1)?];
        let mut blocks = Vec::new();
        let mut input = width;
        for (stage, count) in architecture.layers.into_iter().enumerate() {
            let inner = width << stage;
            let scope = scope.part(format_args!("layer{}", stage + 1));
            for i in 0..count {
                let stride = if i == 0 && stage > 0 { 2 } else { 1 };
                blocks.push(Bottleneck::new(&scope.part(i), input, inner, stride)?);
                input = inner * EXPANSION;
            }
        }
        let attnpool = AttentionPool::new(&scope.part("attnpool"), architecture, embed_dim)?;
        Ok(Self { stem, blocks, attnpool })
    }

    /// N×3×H×W to N×embed_dim.
    pub fn forward(&self, pixels: &Tensor, mode: Mode, recompute: Recompute) -> Result<Tensor> {
        let mut x = pixels.shallow_clone();
        for (convolution, norm) in &self.stem {
            x = norm.forward(&convolution.forward(&x)?, mode)?.f_relu_()?;
        }
        x = pool(&x, 2)?;
        for block in &self.blocks {
            x = match recompute {
                Recompute::Never => block.forward(&x, mode)?,
                Recompute::Blocks => {
                    let again = block.clone();
                    recompute::recomputed(&x, &block.parameters(), move |x, pass| {
                        let mode = match (mode, pass) {
                            (Mode::Train, Pass::Again) => Mode::Replay,
                            _ => mode,
                        };
                        again.forward(x, mode)
                    })?
                }
            };
        }
        self.attnpool.forward(&x)
    }
}

fn pool(x: &Tensor, stride: i64) -> Result<Tensor> {
    Ok(x.f_avg_pool2d(stride, stride, 0, false, true, None)?)
}

#[derive(Debug, Clone)]
struct Bottleneck {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    conv3: Convolution,
    bn3: BatchNorm,
    downsample: Option<(Convolution, BatchNorm)>,
    stride: i64,
}

impl Bottleneck {
    fn new(scope: &Scope<'_>, input: i64, inner: i64, stride: i64) -> Result<Self> {
        let output = inner * EXPANSION;
        let conv = |name: &str, input, output, kernel| {
            Convolution::new(&scope.part(name), input, output, kernel, 1, kernel / 2)
        };
        // The last norm starts at zero, so a fresh block is its shortcut.
        let norm = |name: &str, channels, weight| BatchNorm::new(&scope.part(name), channels, weight);
        let downsample = if stride > 1 || input != output {
            // open_clip numbers the parts of the shortcut from its pooling, -1.
            Some((conv("downsample.0", input, output, 1)?, norm("downsample.1", output, 1.0)?))
        } else {
            None
        };
        Ok(Self {
            conv1: conv("conv1", input, inner, 1)?,
            bn1: norm("bn1", inner, 1.0)?,
            conv2: conv("conv2", inner, inner, 3)?,
            bn2: norm("bn2", inner, 1.0)?,
            conv3: conv("conv3", inner, output, 1)?,
            bn3: norm("bn3", output, 0.0)?,
            downsample,
            stride,
        })
    }

    fn parameters(&self) -> Vec<Tensor> {
        let mut all = Vec::with_capacity(12);
        let main = [(&self.conv1, &self.bn1), (&self.conv2, &self.bn2), (&self.conv3, &self.bn3)];
        for (convolution, norm) in main.into_iter().chain(self.downsample.as_ref().map(|(c, n)| (c, n))) {
            all.extend(convolution.parameters());
            all.extend(norm.parameters());
        }
        all
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut y = self.bn1.forward(&self.conv1.forward(x)?, mode)?.f_relu_()?;
        y = self.bn2.forward(&self.conv2.forward(&y)?, mode)?.f_relu_()?;
        if self.stride > 1 {
            y = pool(&y, self.stride)?;
        }
        y = self.bn3.forward(&self.conv3.forward(&y)?, mode)?;
        let mut sum = match &self.downsample {
            None => y.f_add_(x)?,
            Some((convolution, norm)) => {
                let shortcut = if self.stride > 1 { pool(x, self.stride)? } else { x.shallow_clone() };
                y.f_add_(&norm.forward(&convolution.forward(&shortcut)?, mode)?)?
            }
        };
        Ok(sum.f_relu_()?)
    }
}

/// Attention of the mean over all positions to the mean and the positions. open_clip computes it for every position
/// and keeps the mean's; here nothing else is computed.
#[derive(Debug)]
struct AttentionPool {
    positional_embedding: Tensor,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    c_proj: Linear,
    heads: i64,
}

impl AttentionPool {
    fn new(scope: &Scope<'_>, architecture: &ResnetArchitecture, embed_dim: i64) -> Result<Self> {
        let width = architecture.num_features();
        let side = architecture.image_size / 32;
        let init = Init::Normal { std: (width as f64).powf(-0.5) };
        let linear = |name: &str, output| Linear::new(&scope.part(name), width, output, Some(init), None);
        Ok(Self {
            positional_embedding: scope.parameter("positional_embedding", &[side * side + 1, width], init)?,
            k_proj: linear("k_proj", width)?,
            q_proj: linear("q_proj", width)?,
            v_proj: linear("v_proj", width)?,
            c_proj: linear("c_proj", embed_dim)?,
            heads: architecture.heads(),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.f_flatten(2, -1)?.f_transpose(1, 2)?;
        let x = Tensor::f_cat(&[&x.f_mean_dim(1, true, None)?, &x], 1)?;
        let positions = like(self.positional_embedding.shallow_clone(), &x)?;
        let x = x.f_add(&positions)?;
        let (n, l, width) = (x.size()[0], x.size()[1], x.size()[2]);
        let split = |y: Tensor, l: i64| -> Result<Tensor> {
            Ok(y.f_reshape([n, l, self.heads, width / self.heads])?.f_transpose(1, 2)?)
        };
        let q = split(self.q_proj.forward(&x.f_narrow(1, 0, 1)?)?, 1)?;
        let k = split(self.k_proj.forward(&x)?, l)?;
        let v = split(self.v_proj.forward(&x)?, l)?;
        let y = Tensor::f_scaled_dot_product_attention(&q, &k, &v, NO_MASK, 0.0, false, None, false)?;
        self.c_proj.forward(&y.f_reshape([n, width])?)
    }
}
