//! Whole lists of gradients at once: the backward pass with given output gradients, clipping, the fused AdamW step.

use tch::Tensor;

use super::{TorchError, check, ffi, length, own, raw, raw_all};

/// Backward from `outputs`, each weighted with a gradient of its own shape; leaves accumulate.
///
/// # Errors
/// When shapes differ or an output has no graph.
pub fn backward(outputs: &[&Tensor], gradients: &[&Tensor]) -> Result<(), TorchError> {
    if outputs.len() != gradients.len() {
        return Err(TorchError(format!("{} outputs with {} gradients", outputs.len(), gradients.len())));
    }
    let n = length(outputs.len())?;
    let (o, g) = (raw_all(outputs.iter().copied()), raw_all(gradients.iter().copied()));
    // SAFETY: both lists have n live tensors; the graph behind the outputs writes to gradients of leaves only.
    check(unsafe { ffi::pm_backward(o.as_ptr(), g.as_ptr(), n) }).map(drop)
}

/// Forgets the gradients of `tensors`; the next backward makes them anew instead of adding.
///
/// # Errors
/// When one is not a leaf.
pub fn drop_gradients(tensors: &[Tensor]) -> Result<(), TorchError> {
    let t = raw_all(tensors);
    // SAFETY: n live tensors; only their gradient slots are written.
    check(unsafe { ffi::pm_drop_gradients(t.as_ptr(), length(t.len())?) }).map(drop)
}

/// Scales gradients in place so that their joint L2 norm is at most `max_norm`, as `torch.nn.utils.clip_grad_norm_`;
/// returns the norm before. `None` only measures.
///
/// # Errors
/// When the list is empty or on several devices.
pub fn clip_norm(gradients: &[Tensor], max_norm: Option<f64>) -> Result<Tensor, TorchError> {
    let g = raw_all(gradients);
    // SAFETY: n live tensors, scaled in place; returns an owned tensor.
    own(unsafe { ffi::pm_clip_grad_norm(g.as_ptr(), length(g.len())?, max_norm.unwrap_or(0.0)) })
}

/// Multiplies gradients by `inv_scale` in place; sets `found_inf` (an f32 scalar) to 1 when one is not finite.
///
/// # Errors
/// When the scalars are not f32 on the gradients' device.
pub fn unscale(gradients: &[Tensor], found_inf: &Tensor, inv_scale: &Tensor) -> Result<(), TorchError> {
    let g = raw_all(gradients);
    // SAFETY: live tensors; the gradients and found_inf are written.
    check(unsafe { ffi::pm_unscale(g.as_ptr(), length(g.len())?, raw(found_inf), raw(inv_scale)) }).map(drop)
}

/// The parameters of one AdamW step (Loshchilov & Hutter 2019, as PyTorch computes it).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamwStep {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, multiplied with the learning rate.
    pub weight_decay: f64,
}

/// Lists of equal length, one entry a parameter: what AdamW reads and writes.
#[derive(Debug, Clone, Copy)]
pub struct AdamwLists<'a> {
    /// The parameters, written.
    pub params: &'a [Tensor],
    /// Their gradients, read.
    pub gradients: &'a [Tensor],
    /// First moments, written.
    pub exp_avgs: &'a [Tensor],
    /// Second moments, written.
    pub exp_avg_sqs: &'a [Tensor],
    /// Steps made so far, f32 scalars, counted up.
    pub steps: &'a [Tensor],
}

/// One fused AdamW step. With `found_inf` = 1 nothing is changed, as the scaler of fp16 wants it.
///
/// # Errors
/// When the lists differ in length, type or device.
pub fn adamw(lists: AdamwLists<'_>, step: AdamwStep, found_inf: Option<&Tensor>) -> Result<(), TorchError> {
    let AdamwLists { params, gradients, exp_avgs, exp_avg_sqs, steps } = lists;
    let n = params.len();
    if [gradients.len(), exp_avgs.len(), exp_avg_sqs.len(), steps.len()].iter().any(|&other| other != n) {
        return Err(TorchError(format!("AdamW over {n} parameters with lists of other lengths")));
    }
    let (p, g, m, v, s) =
        (raw_all(params), raw_all(gradients), raw_all(exp_avgs), raw_all(exp_avg_sqs), raw_all(steps));
    // SAFETY: five lists of n live tensors; all but the gradients are written.
    check(unsafe {
        ffi::pm_fused_adamw(
            p.as_ptr(),
            g.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            s.as_ptr(),
            length(n)?,
            step.lr,
            step.beta1,
            step.beta2,
            step.weight_decay,
            step.eps,
            std::ptr::null_mut(),
            found_inf.map_or(std::ptr::null_mut(), raw),
        )
    })
    .map(drop)
}
