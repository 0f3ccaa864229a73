//! Rank correlations of pairs, ties taken as they should be.

/// Ranks from 1 (smallest); equal values share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..].iter().take_while(|&&i| values[i] == values[order[start]]).count();
        for &i in &order[start..start + tied] {
            ranks[i] = start as f64 + (tied as f64 + 1.0) / 2.0;
        }
        start += tied;
    }
    ranks
}

/// Spearman's rho: Pearson's correlation of the ranks. `None` below three pairs or where one side is constant.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (ranks(&x), ranks(&y));
    let middle = (pairs.len() as f64 + 1.0) / 2.0;
    let sum = |f: &dyn Fn(usize) -> f64| (0..pairs.len()).map(f).sum::<f64>();
    let xy = sum(&|i| (x[i] - middle) * (y[i] - middle));
    let xx = sum(&|i| (x[i] - middle).powi(2));
    let yy = sum(&|i| (y[i] - middle).powi(2));
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// Kendall's tau-b. `None` below three pairs or where one side is constant.
pub fn kendall(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let (mut score, mut untied_x, mut untied_y) = (0.0, 0.0, 0.0);
    for (i, a) in pairs.iter().enumerate() {
        for b in &pairs[i + 1..] {
            let (dx, dy) = (sign(a.0 - b.0), sign(a.1 - b.1));
            score += dx * dy;
            untied_x += dx.abs();
            untied_y += dy.abs();
        }
    }
    (untied_x > 0.0 && untied_y > 0.0).then(|| score / (untied_x * untied_y).sqrt())
}

fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_with_ties_are_those_of_the_textbook_formulae() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        let pairs = [(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0), (5.0, 5.0)];
        // 1 − 6·4/(5·24) and (8 − 2)/10.
        assert!((spearman(&pairs).unwrap() - 0.8).abs() < 1e-12);
        assert!((kendall(&pairs).unwrap() - 0.6).abs() < 1e-12);
        // One tie in x of 3 pairs of pairs: 2/√(2·3).
        let tied = [(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)];
        assert!((kendall(&tied).unwrap() - 2.0 / 6.0f64.sqrt()).abs() < 1e-12);
        assert!((spearman(&tied).unwrap() - 0.75f64.sqrt()).abs() < 1e-12);
        assert_eq!(spearman(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(kendall(&pairs[..2]), None);
    }
}
