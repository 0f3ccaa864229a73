//! CLIP's contrastive loss (Radford et al. 2021): every picture must find its caption among all captions of the batch
//! and every caption its picture.

use std::ops::Range;

use tch::{Kind, Reduction, Tensor};

use super::{FeatureLoss, Outcome, Views};
use crate::torch::TorchError;

const NO_WEIGHT: Option<&Tensor> = None;
/// Cross entropy leaves out rows of this label; none has it.
const IGNORED: i64 = -100;

/// The contrastive loss with its learned scale. As open_clip's `ClipLoss` with `local_loss` and `gather_with_grad`.
#[derive(Debug)]
pub struct Contrastive {
    logit_scale: Tensor,
}

impl Contrastive {
    /// Largest logarithm of the scale, ln 100.
    pub const MAX_LOGIT_SCALE: f64 = 4.605_170_185_988_092;

    /// The loss that learns `logit_scale`, a scalar.
    pub fn new(logit_scale: &Tensor) -> Self {
        Self { logit_scale: logit_scale.shallow_clone() }
    }
}

impl FeatureLoss for Contrastive {
    /// `views` are the unit-normalised features of pictures and captions. Logits are exp(scale)·I·Tᵀ; the loss is the
    /// mean of the cross entropies picture to caption and caption to picture. Outside autocast everything is f32.
    fn on_features(&self, views: Views<'_>, rows: Range<i64>) -> Result<Outcome, TorchError> {
        let [image, text] = views;
        let all = image.size().first().copied().unwrap_or(0);
        if image.dim() != 2
            || image.size() != text.size()
            || rows.start < 0
            || rows.end > all
            || rows.is_empty()
        {
            return Err(TorchError(format!(
                "contrastive loss of rows {rows:?} over features of shapes {:?} and {:?}",
                image.size(),
                text.size()
            )));
        }
        let scale = self.logit_scale.f_exp()?;
        let count = rows.end - rows.start;
        let scaled = |from: &Tensor, to: &Tensor| -> Result<Tensor, TorchError> {
            Ok(from.f_narrow(0, rows.start, count)?.f_mul(&scale)?.f_matmul(&to.f_transpose(0, 1)?)?)
        };
        let per_image = scaled(image, text)?;
        // One process sees the whole matrix: the other direction is the same numbers.
        let per_text = if count == all { per_image.f_transpose(0, 1)? } else { scaled(text, image)? };
        let labels = Tensor::f_arange_start(rows.start, rows.end, (Kind::Int64, image.device()))?;
        let entropy =
            |logits: &Tensor| logits.f_cross_entropy_loss(&labels, NO_WEIGHT, Reduction::Mean, IGNORED, 0.0);
        let loss = entropy(&per_image)?.f_add(&entropy(&per_text)?)?.f_mul_scalar(0.5)?;
        let hits = |logits: &Tensor| -> Result<Tensor, TorchError> {
            Ok(logits.f_detach()?.f_argmax(1, false)?.f_eq_tensor(&labels)?.f_mean(Kind::Float)?)
        };
        Ok(Outcome { loss, accuracy: [hits(&per_image)?, hits(&per_text)?] })
    }
}

/// Keeps the scale of logits between 1 and 100, as CLIP does after every step. In place.
///
/// # Errors
/// When libtorch refuses.
pub fn clamp_logit_scale(logit_scale: &Tensor) -> Result<(), TorchError> {
    let _ = tch::no_grad(|| logit_scale.shallow_clone().f_clamp_(0.0, Contrastive::MAX_LOGIT_SCALE))?;
    Ok(())
}
