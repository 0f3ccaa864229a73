//! Multinomial logistic regression as scikit-learn states it: the mean cross entropy plus ‖W‖² / (2·C·N); the bias is
//! not penalised (`sklearn.linear_model.LogisticRegression`, user guide §1.1.11). Gradients in closed form, in f64.

use tch::{Kind, Tensor};

use super::Features;
use super::lbfgs::Objective;
use crate::torch::TorchError;
use crate::transfer::classifier::Head;

/// The problem for one set of features and one strength.
#[derive(Debug)]
pub struct Logistic {
    /// N×D, f64.
    features: Tensor,
    labels: Tensor,
    classes: i64,
    /// 1 / (C·N).
    penalty: f64,
}

impl Logistic {
    /// `strength` is scikit-learn's C, above 0: the smaller, the more the weights are held back.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(train: &Features, num_classes: usize, strength: f64) -> Result<Self, TorchError> {
        Ok(Self {
            features: train.values.f_to_kind(Kind::Double)?,
            labels: train.labels.shallow_clone(),
            classes: num_classes as i64,
            penalty: 1.0 / (strength * train.len() as f64),
        })
    }

    /// Where nothing is known: classes × (D + 1) zeros.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn zeros(train: &Features, num_classes: usize) -> Result<Tensor, TorchError> {
        let width = train.values.size().get(1).copied().unwrap_or(0) + 1;
        Ok(Tensor::f_zeros([num_classes as i64, width], (Kind::Double, train.values.device()))?)
    }

    /// A point as a head of `kind`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn head(&self, at: &Tensor, kind: Kind) -> Result<Head, TorchError> {
        let (weight, bias) = self.parts(at)?;
        Ok(Head {
            weight: weight.f_to_kind(kind)?.f_contiguous()?,
            bias: bias.f_to_kind(kind)?.f_contiguous()?,
        })
    }

    fn parts(&self, at: &Tensor) -> Result<(Tensor, Tensor), TorchError> {
        let width = at.size().get(1).copied().unwrap_or(1) - 1;
        Ok((at.f_narrow(1, 0, width)?, at.f_select(1, width)?))
    }
}

impl Objective for Logistic {
    fn value_and_gradient(&self, at: &Tensor) -> Result<(f64, Tensor), TorchError> {
        let (weight, bias) = self.parts(at)?;
        let n = self.labels.numel() as f64;
        let logits = self.features.f_linear(&weight, Some(&bias))?;
        let log_shares = logits.f_log_softmax(-1, Kind::Double)?;
        let labels = self.labels.f_unsqueeze(1)?;
        let loss = -log_shares.f_gather(1, &labels, false)?.f_sum(Kind::Double)?.f_double_value(&[])? / n;
        let square = weight.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        let owed = log_shares.f_exp()?;
        let minus_one = Tensor::f_full([self.labels.numel() as i64, 1], -1.0, (Kind::Double, owed.device()))?;
        let owed = owed.f_scatter_add(1, &labels, &minus_one)?.f_div_scalar(n)?;
        let by_weight = owed.f_tr()?.f_matmul(&self.features)?.f_add(&weight.f_mul_scalar(self.penalty)?)?;
        let by_bias = owed.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
        debug_assert_eq!(by_bias.numel() as i64, self.classes);
        let gradient = Tensor::f_cat(&[by_weight, by_bias.f_unsqueeze(1)?], 1)?;
        Ok((loss + 0.5 * self.penalty * square, gradient))
    }
}
