//! The linear probe: a head trained alone, on features that were computed once. [`lbfgs`] minimises, [`logistic`] is
//! what is minimised; the strength of the penalty is chosen on the validation set. The study's own probe, which it
//! trained by AdamW and in part on test features, is [`published`].

pub mod lbfgs;
pub mod logistic;
pub mod published;

use tch::Tensor;

use self::lbfgs::{Limits, minimise};
use self::logistic::{Basis, Logistic, Plain};
use super::classifier::Head;
use super::tune::cross_entropy;
use crate::torch::TorchError;

/// Unit features with their labels.
#[derive(Debug)]
pub struct Features {
    /// N×embedding.
    pub values: Tensor,
    /// N class numbers, i64.
    pub labels: Tensor,
}

impl Features {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.size().first().map_or(0, |&n| n as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a probe ended with.
#[derive(Debug)]
pub struct Probe {
    /// The head.
    pub head: Head,
    /// The strength that was chosen, scikit-learn's C.
    pub strength: f64,
    /// Accuracy on the validation set, percent; NaN without one.
    pub val_acc1: f64,
    /// Evaluations of the loss over all strengths.
    pub evaluations: usize,
    /// Whether the chosen fit came to rest before its limit of iterations.
    pub converged: bool,
    /// Strengths whose fit did not.
    pub unconverged: Vec<f64>,
}

/// scikit-learn's C from weak to strong fit: half decades from 10⁻² to 10⁶. Unit features need large ones.
pub fn default_strengths() -> Vec<f64> {
    (-4..=12).map(|half| 10f64.powf(f64::from(half) / 2.0)).collect()
}

/// Fits a head for each strength, each begun where the one before ended, and keeps the one that is right most often on
/// `val` (of equals, the one with the smaller loss there). Without `val` or with one strength the last one stays.
///
/// # Errors
/// When shapes do not fit or memory runs out.
pub fn fit(
    train: &Features,
    val: Option<&Features>,
    num_classes: usize,
    strengths: &[f64],
    limits: Limits,
) -> Result<Probe, TorchError> {
    let mut best: Option<(Probe, f64)> = None;
    let basis = tch::no_grad(|| Basis::new(train))?;
    let mut start = Plain::zeros(train, num_classes)?;
    let mut evaluations = 0;
    let mut unconverged = Vec::new();
    for &strength in strengths {
        let problem = Logistic::new(&basis, num_classes, strength)?;
        let found = minimise(&problem, problem.point(&start)?, limits.for_strength(strength))?;
        if !found.converged {
            unconverged.push(strength);
        }
        evaluations += found.evaluations;
        start = problem.plain(&found.at)?;
        let head = start.head(train.values.kind())?;
        let (val_acc1, loss) = match val {
            Some(val) => judge(&head, val)?,
            None => (f64::NAN, f64::NAN),
        };
        let better = match &best {
            Some((kept, kept_loss)) if val.is_some() => {
                val_acc1 > kept.val_acc1 || (val_acc1 == kept.val_acc1 && loss < *kept_loss)
            }
            _ => true,
        };
        if better {
            let converged = found.converged;
            let probe =
                Probe { head, strength, val_acc1, evaluations: 0, converged, unconverged: Vec::new() };
            best = Some((probe, loss));
        }
    }
    let (mut probe, _) = best.ok_or_else(|| TorchError("a probe needs at least one strength".into()))?;
    (probe.evaluations, probe.unconverged) = (evaluations, unconverged);
    Ok(probe)
}

/// Accuracy in percent and mean cross entropy.
fn judge(head: &Head, features: &Features) -> Result<(f64, f64), TorchError> {
    let _no_grad = tch::no_grad_guard();
    let logits = features.values.f_linear(&head.weight, Some(&head.bias))?;
    let hits = logits.f_argmax(-1, false)?.f_eq_tensor(&features.labels)?;
    let loss = cross_entropy(&logits, &features.labels)?;
    Ok((
        100.0 * hits.f_to_kind(tch::Kind::Double)?.f_mean(tch::Kind::Double)?.f_double_value(&[])?,
        loss.f_double_value(&[])?,
    ))
}

#[cfg(test)]
mod tests;
