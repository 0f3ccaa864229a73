//! The image tower, whichever kind it is. Usable without a text tower: other objectives train it alone.

use tch::Tensor;

use super::architecture::{Activation, VisualArchitecture};
use super::resnet::Resnet;
use super::vit::VisionTransformer;
use super::{Mode, ModelError, Recompute};
use crate::weights::Scope;

/// The image tower. In open_clip its names begin with `visual`.
#[derive(Debug)]
pub struct Visual {
    tower: Tower,
    image_size: i64,
    recompute: Recompute,
}

#[derive(Debug)]
enum Tower {
    Resnet(Resnet),
    Transformer(VisionTransformer),
}

impl Visual {
    /// Fresh weights under `scope`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(
        scope: &Scope<'_>,
        architecture: &VisualArchitecture,
        activation: Activation,
        embed_dim: i64,
    ) -> Result<Self, ModelError> {
        let (tower, image_size) = match architecture {
            VisualArchitecture::Resnet(resnet) => {
                (Tower::Resnet(Resnet::new(scope, resnet, embed_dim)?), resnet.image_size)
            }
            VisualArchitecture::Transformer(vit) => {
                let tower = VisionTransformer::new(scope, vit, activation, embed_dim)?;
                (Tower::Transformer(tower), vit.image_size)
            }
        };
        Ok(Self { tower, image_size, recompute: Recompute::Never })
    }

    /// Whether blocks are computed again in backward from now on.
    pub fn set_recompute(&mut self, recompute: Recompute) {
        self.recompute = recompute;
    }

    /// Features of pictures: `pixels` is N×3×H×W, floating point, normalised, H = W = the architecture's image size,
    /// in either memory format. N×embed_dim, not normalised.
    ///
    /// # Errors
    /// When the shape or type is another, or memory runs out.
    pub fn encode(&self, pixels: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        let size = self.image_size;
        match pixels.size()[..] {
            [n, 3, height, width]
                if n >= 1 && height == size && width == size && pixels.is_floating_point() => {}
            _ => {
                let found = format!("{:?} of {:?}", pixels.size(), pixels.kind());
                return Err(ModelError::PixelShape { size, found });
            }
        }
        Ok(match &self.tower {
            Tower::Resnet(resnet) => resnet.forward(pixels, mode, self.recompute)?,
            Tower::Transformer(vit) => vit.forward(pixels, self.recompute)?,
        })
    }
}
