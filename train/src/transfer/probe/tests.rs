use tch::{Device, Kind};

use super::lbfgs::Objective;
use super::*;

/// Rosenbrock's valley in n dimensions: the minimum is 0 at all ones, at the end of a narrow curved floor.
struct Rosenbrock;

impl Objective for Rosenbrock {
    fn value_and_gradient(&self, at: &Tensor) -> Result<(f64, Tensor), TorchError> {
        let at = at.detach().set_requires_grad(true);
        let value = tch::with_grad(|| {
            let n = at.numel() as i64;
            let (head, tail) = (at.narrow(0, 0, n - 1), at.narrow(0, 1, n - 1));
            let value = ((&tail - head.square()).square() * 100.0 + (head - 1.0).square()).sum(Kind::Double);
            value.backward();
            value
        });
        Ok((value.double_value(&[]), at.grad()))
    }
}

#[test]
fn lbfgs_finds_the_end_of_a_curved_valley() {
    let start = Tensor::zeros([20], (Kind::Double, Device::Cpu));
    let found = minimise(&Rosenbrock, start, Limits::default()).unwrap();
    assert!(found.converged && found.evaluations < 300, "{} evaluations", found.evaluations);
    assert!((found.at - 1.0).abs().max().double_value(&[]) < 1e-5);
}

/// Two clouds in the plane, one class each, and some rows of the wrong class.
fn clouds(n: i64, seed: f64) -> Features {
    let index = Tensor::arange(n, (Kind::Double, Device::Cpu));
    let labels = index.remainder(2.0);
    let noise = |k: f64| ((&index * 12.9898 + k + seed).sin() * 43758.5453).frac();
    let x = &labels * 2.0 - 1.0 + noise(0.0) * 1.8;
    let y = noise(7.0);
    let values = Tensor::stack(&[x, y], 1).to_kind(Kind::Float);
    Features { values, labels: labels.to_kind(Kind::Int64) }
}

#[test]
fn the_strength_is_the_one_that_validation_prefers() {
    let (train, val) = (clouds(40, 0.3), clouds(200, 0.9));
    let probe = fit(&train, Some(&val), 2, &default_strengths(), Limits::default()).unwrap();
    assert!(probe.converged && probe.val_acc1 > 80.0, "{probe:?}");
    for strength in [1e-2, 1e6] {
        let other = fit(&train, Some(&val), 2, &[strength], Limits::default()).unwrap();
        assert!(other.val_acc1 <= probe.val_acc1);
    }
}

#[test]
fn classes_that_can_be_told_apart_do_not_make_it_run_for_ever() {
    // Without a penalty to speak of the optimum is at infinity.
    let values = Tensor::from_slice2(&[[1f32, 0.0], [0.0, 1.0], [-1.0, 0.0]]);
    let train = Features { values, labels: Tensor::from_slice(&[0i64, 1, 2]) };
    let probe = fit(&train, None, 3, &[1e12], Limits::default()).unwrap();
    let (acc1, loss) = judge(&probe.head, &train).unwrap();
    assert_eq!(acc1, 100.0);
    assert!(loss < 1e-3 && probe.evaluations < 2_000, "{loss} {}", probe.evaluations);
}
