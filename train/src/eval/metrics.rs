//! Accuracies and recalls from scores, as sums that ranks can add up.

use tch::{Kind, Tensor};

use crate::torch::TorchError;

/// Correct answers per class.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Samples of each class.
    pub totals: Vec<f64>,
    /// Of these, those whose class scores highest.
    pub top1: Vec<f64>,
    /// Of these, those whose class is among the five that score highest.
    pub top5: Vec<f64>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(num_classes: usize) -> Self {
        Self { totals: vec![0.0; num_classes], top1: vec![0.0; num_classes], top5: vec![0.0; num_classes] }
    }

    /// Adds the samples of one batch: `logits` N×classes, `labels` N class numbers, -1 for none.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn add(&mut self, logits: &Tensor, labels: &Tensor) -> Result<(), TorchError> {
        let k = 5.min(self.totals.len() as i64);
        let (_, best) = logits.f_topk(k, -1, true, true)?;
        let hits = best.f_eq_tensor(&labels.f_unsqueeze(-1)?)?.f_to_kind(Kind::Int64)?;
        let first = Vec::<i64>::try_from(&hits.f_select(1, 0)?)?;
        let any = Vec::<i64>::try_from(&hits.f_amax([1i64], false)?)?;
        let labels = Vec::<i64>::try_from(labels)?;
        for ((label, first), any) in labels.into_iter().zip(first).zip(any) {
            let Some(class) = usize::try_from(label).ok().filter(|&class| class < self.totals.len()) else {
                continue;
            };
            self.totals[class] += 1.0;
            self.top1[class] += first as f64;
            self.top5[class] += any as f64;
        }
        Ok(())
    }

    /// All three lists behind each other, for a sum over ranks.
    pub fn numbers(&self) -> Vec<f64> {
        [&self.totals[..], &self.top1, &self.top5].concat()
    }

    /// Back from [`Tally::numbers`].
    pub fn from_numbers(numbers: &[f64]) -> Self {
        let classes = numbers.len() / 3;
        let part = |i: usize| numbers[i * classes..(i + 1) * classes].to_vec();
        Self { totals: part(0), top1: part(1), top5: part(2) }
    }

    /// Number of samples.
    pub fn num_samples(&self) -> f64 {
        self.totals.iter().sum()
    }

    /// Share of samples whose class scores highest, 0–1.
    pub fn acc1(&self) -> f64 {
        self.top1.iter().sum::<f64>() / self.num_samples().max(1.0)
    }

    /// Share of samples whose class is among the five best, 0–1.
    pub fn acc5(&self) -> f64 {
        self.top5.iter().sum::<f64>() / self.num_samples().max(1.0)
    }

    /// Mean over the classes that have samples of their share of correct answers, 0–1.
    pub fn mean_per_class_recall(&self) -> f64 {
        let shares: Vec<_> =
            self.totals.iter().zip(&self.top1).filter(|(n, _)| **n > 0.0).map(|(n, hit)| hit / n).collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }
}

/// How often the partner is among the `ks` best of N candidates: for each row i of `queries` (N×D, unit norm) the rank
/// of row i of `candidates`. A tie with the partner counts against it only where the other stands before it.
///
/// # Errors
/// When shapes do not fit.
pub fn recall_at(queries: &Tensor, candidates: &Tensor, ks: &[i64]) -> Result<Vec<f64>, TorchError> {
    const CHUNK: i64 = 1024;
    let n = queries.size().first().copied().unwrap_or(0);
    let mut hits = vec![0.0; ks.len()];
    let mut from = 0;
    while from < n {
        let rows = CHUNK.min(n - from);
        let scores = queries.f_narrow(0, from, rows)?.f_matmul(&candidates.f_tr()?)?;
        let own =
            Tensor::f_arange_start(from, from + rows, (Kind::Int64, scores.device()))?.f_unsqueeze(1)?;
        let partner = scores.f_gather(1, &own, false)?;
        let index = Tensor::f_arange(n, (Kind::Int64, scores.device()))?.f_unsqueeze(0)?;
        let before = index.f_lt_tensor(&own)?.f_logical_and(&scores.f_eq_tensor(&partner)?)?;
        let better = scores.f_gt_tensor(&partner)?.f_logical_or(&before)?;
        let rank = better.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)?;
        for (hits, &k) in hits.iter_mut().zip(ks) {
            *hits += rank.f_lt(k)?.f_sum(Kind::Double)?.f_double_value(&[])?;
        }
        from += rows;
    }
    Ok(hits.into_iter().map(|hits| hits / n.max(1) as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracies_count_by_class_and_ignore_empty_slots() {
        let logits =
            Tensor::from_slice2(&[[3f32, 1.0, 2.0], [1.0, 2.0, 3.0], [1.0, 0.0, 0.5], [9.0, 9.0, 0.0]]);
        let mut tally = Tally::new(3);
        tally.add(&logits, &Tensor::from_slice(&[0i64, 1, 0, -1])).unwrap();
        assert_eq!((tally.num_samples(), tally.acc1(), tally.acc5()), (3.0, 2.0 / 3.0, 1.0));
        assert_eq!(tally.mean_per_class_recall(), 0.5);
        assert_eq!(Tally::from_numbers(&tally.numbers()), tally);
    }

    #[test]
    fn recall_counts_the_partner_among_the_best() {
        let captions = Tensor::from_slice2(&[[1f32, 0.0], [0.0, 1.0], [0.8, 0.6]]);
        // The second image is nearest to the third caption, then to its own.
        let images = Tensor::from_slice2(&[[1f32, 0.0], [0.6, 0.8], [0.8, 0.6]]);
        assert_eq!(recall_at(&images, &captions, &[1, 2]).unwrap(), [2.0 / 3.0, 1.0]);
        // All the same: the first stands first, and only one can be first.
        let same = Tensor::ones([4, 2], (Kind::Float, tch::Device::Cpu));
        assert_eq!(recall_at(&same, &same, &[1, 4]).unwrap(), [0.25, 1.0]);
    }
}
