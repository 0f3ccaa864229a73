//! Multinomial logistic regression as scikit-learn states it: the mean cross entropy plus ‖W‖² / (2·C·N); the bias is
//! not penalised (`sklearn.linear_model.LogisticRegression`, user guide §1.1.11). Gradients in closed form, in f64.
//!
//! Unit features of a tower share most of their direction, and the rest of it is spread unevenly: left as they are, a weak
//! penalty makes a valley so long and flat that thousands of iterations end short of its floor. So the same function is
//! minimised in other coordinates: features without their mean (the free bias takes it up), along their principal
//! directions, each weight scaled by the curvature it has at the start. The optimum is the same point; the way there is
//! short for every strength, and a small gradient means a small distance from it.

use tch::{Kind, Tensor};

use super::Features;
use super::lbfgs::Objective;
use crate::torch::TorchError;
use crate::transfer::classifier::Head;

/// Training features in the coordinates that all strengths share.
#[derive(Debug)]
pub struct Basis {
    /// N×D: without their mean, along the principal directions; f64.
    features: Tensor,
    labels: Tensor,
    /// D.
    mean: Tensor,
    /// D×D, a principal direction a column.
    directions: Tensor,
    /// D variances along them.
    variances: Tensor,
}

impl Basis {
    /// Of the features a probe is fitted to.
    ///
    /// # Errors
    /// When memory runs out or a feature is no number.
    pub fn new(train: &Features) -> Result<Self, TorchError> {
        let features = train.values.f_to_kind(Kind::Double)?;
        let mean = features.f_mean_dim([0i64].as_slice(), false, Kind::Double)?;
        let centred = features.f_sub(&mean)?;
        let covariance = centred.f_tr()?.f_matmul(&centred)?.f_div_scalar(train.len().max(1) as f64)?;
        let (variances, directions) = covariance.f_linalg_eigh("L")?;
        Ok(Self {
            features: centred.f_matmul(&directions)?,
            labels: train.labels.shallow_clone(),
            mean,
            directions,
            // Rounding makes some of the smallest negative.
            variances: variances.f_clamp_min(0.0)?,
        })
    }

    fn len(&self) -> usize {
        self.labels.numel()
    }
}

/// The problem for one set of features and one strength. Its points are classes × (D + 1): scaled weights, then the bias.
#[derive(Debug)]
pub struct Logistic<'a> {
    basis: &'a Basis,
    classes: i64,
    /// 1 / (C·N).
    penalty: f64,
    /// What a coordinate's weights are multiplied by.
    scale: Tensor,
    /// The same of the bias.
    bias_scale: f64,
}

/// Weights (classes × D) and bias, f64, as scikit-learn has them.
#[derive(Debug)]
pub struct Plain {
    weight: Tensor,
    bias: Tensor,
}

impl Plain {
    /// Where nothing is known.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn zeros(train: &Features, num_classes: usize) -> Result<Self, TorchError> {
        let width = train.values.size().get(1).copied().unwrap_or(0);
        let like = (Kind::Double, train.values.device());
        Ok(Self {
            weight: Tensor::f_zeros([num_classes as i64, width], like)?,
            bias: Tensor::f_zeros([num_classes as i64], like)?,
        })
    }

    /// As a head of `kind`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn head(&self, kind: Kind) -> Result<Head, TorchError> {
        Ok(Head {
            weight: self.weight.f_to_kind(kind)?.f_contiguous()?,
            bias: self.bias.f_to_kind(kind)?.f_contiguous()?,
        })
    }
}

impl<'a> Logistic<'a> {
    /// `strength` is scikit-learn's C, above 0: the smaller, the more the weights are held back.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(basis: &'a Basis, num_classes: usize, strength: f64) -> Result<Self, TorchError> {
        let penalty = 1.0 / (strength * basis.len() as f64);
        // The curvature where all classes are equally likely: variance / classes, and the penalty's.
        let curvature = basis.variances.f_div_scalar(num_classes as f64)?.f_add_scalar(penalty)?;
        Ok(Self {
            basis,
            classes: num_classes as i64,
            penalty,
            scale: curvature.f_rsqrt()?,
            bias_scale: (num_classes as f64).sqrt(),
        })
    }

    /// The point of weights and bias.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn point(&self, plain: &Plain) -> Result<Tensor, TorchError> {
        let weight = plain.weight.f_matmul(&self.basis.directions)?.f_div(&self.scale)?;
        let bias = plain.bias.f_add(&plain.weight.f_mv(&self.basis.mean)?)?.f_div_scalar(self.bias_scale)?;
        Ok(Tensor::f_cat(&[weight, bias.f_unsqueeze(1)?], 1)?)
    }

    /// Weights and bias of a point.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn plain(&self, at: &Tensor) -> Result<Plain, TorchError> {
        let (weight, bias) = self.parts(at)?;
        let weight = weight.f_matmul(&self.basis.directions.f_tr()?)?;
        let bias = bias.f_sub(&weight.f_mv(&self.basis.mean)?)?;
        Ok(Plain { weight, bias })
    }

    /// Weights along the principal directions, and the bias of centred features.
    fn parts(&self, at: &Tensor) -> Result<(Tensor, Tensor), TorchError> {
        let width = at.size().get(1).copied().unwrap_or(1) - 1;
        let weight = at.f_narrow(1, 0, width)?.f_mul(&self.scale)?;
        Ok((weight, at.f_select(1, width)?.f_mul_scalar(self.bias_scale)?))
    }
}

impl Objective for Logistic<'_> {
    fn value_and_gradient(&self, at: &Tensor) -> Result<(f64, Tensor), TorchError> {
        let Basis { features, labels, .. } = self.basis;
        let (weight, bias) = self.parts(at)?;
        let n = labels.numel() as f64;
        let logits = features.f_linear(&weight, Some(&bias))?;
        let log_shares = logits.f_log_softmax(-1, Kind::Double)?;
        let labels = labels.f_unsqueeze(1)?;
        let loss = -log_shares.f_gather(1, &labels, false)?.f_sum(Kind::Double)?.f_double_value(&[])? / n;
        let square = weight.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        let owed = log_shares.f_exp()?;
        let minus_one = Tensor::f_full([labels.numel() as i64, 1], -1.0, (Kind::Double, owed.device()))?;
        let owed = owed.f_scatter_add(1, &labels, &minus_one)?.f_div_scalar(n)?;
        let by_weight = owed.f_tr()?.f_matmul(features)?.f_add(&weight.f_mul_scalar(self.penalty)?)?;
        let by_bias = owed.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
        debug_assert_eq!(by_bias.numel() as i64, self.classes);
        let by_weight = by_weight.f_mul(&self.scale)?;
        let by_bias = by_bias.f_mul_scalar(self.bias_scale)?;
        let gradient = Tensor::f_cat(&[by_weight, by_bias.f_unsqueeze(1)?], 1)?;
        Ok((loss + 0.5 * self.penalty * square, gradient))
    }
}
