//! How well two sets of features find each other.

use tch::{Kind, Tensor};

use crate::torch::TorchError;

/// How often the partner is among the `ks` best of N candidates: for each row i of `queries` (N×D, unit norm) the rank
/// of row i of `candidates`. A tie with the partner counts against it only where the other stands before it. A score
/// that is not finite has no rank: then all values are NaN.
///
/// # Errors
/// When shapes do not fit.
pub fn recall_at(queries: &Tensor, candidates: &Tensor, ks: &[i64]) -> Result<Vec<f64>, TorchError> {
    const CHUNK: i64 = 1024;
    let n = queries.size().first().copied().unwrap_or(0);
    let mut hits = vec![0.0; ks.len()];
    // Read once at the end. A comparison with NaN is false, so without this a partner of NaN would rank first.
    let mut finite = Vec::new();
    let mut from = 0;
    while from < n {
        let rows = CHUNK.min(n - from);
        let scores = queries.f_narrow(0, from, rows)?.f_matmul(&candidates.f_tr()?)?;
        finite.push(scores.f_isfinite()?.f_all()?);
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
    if !finite.is_empty() && !Tensor::f_stack(&finite, 0)?.f_all()?.f_int64_value(&[]).map(|all| all != 0)? {
        return Ok(vec![f64::NAN; ks.len()]);
    }
    Ok(hits.into_iter().map(|hits| hits / n.max(1) as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn t03_the_recall_of_features_that_are_not_numbers_is_not_a_number() {
        let good = Tensor::eye(3, (Kind::Float, tch::Device::Cpu));
        let all = Tensor::full([3, 3], f64::NAN, (Kind::Float, tch::Device::Cpu));
        let one = good.copy();
        let _ = one.get(1).fill_(f64::NAN);
        for (images, captions) in [(&all, &all), (&good, &all), (&all, &good), (&one, &good), (&good, &one)] {
            let recalls = recall_at(images, captions, &[1, 3]).unwrap();
            assert!(recalls.iter().all(|recall| recall.is_nan()), "{recalls:?}");
        }
        assert_eq!(recall_at(&good, &good, &[1]).unwrap(), [1.0]);
    }
}
