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

/// Unit features that lie close together, as those of a tower that learnt little: all share one large direction, so the
/// loss has a long flat floor.
fn narrow(n: i64, width: i64, classes: i64, spread: f64) -> Features {
    let cells = Tensor::arange(n * width, (Kind::Double, Device::Cpu)).view([n, width]);
    let noise = ((&cells * 12.9898 + 0.37).sin() * 43758.5453).frac();
    let labels = Tensor::arange(n, (Kind::Double, Device::Cpu)).remainder(classes as f64);
    let column = Tensor::arange(width, (Kind::Double, Device::Cpu)).unsqueeze(0);
    let centre = ((labels.unsqueeze(1) * 78.233 + &column * 37.719).sin() * 24634.6345).frac();
    // Directions of falling importance, as real features have them.
    let scale = (&column * -6.0 / width as f64).exp();
    let values = ((noise + centre * 0.4) * scale) * spread + 1.0;
    let length = values.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Double).sqrt();
    let labels = labels.to_kind(Kind::Int64);
    Features { values: (values / length).to_kind(Kind::Float), labels }
}

/// Every strength ends at the optimum, which another way of minimising confirms: no descent is left there.
#[test]
fn t10_every_strength_ends_at_the_optimum() {
    let train = narrow(300, 32, 10, 0.05);
    let probe = fit(&train, None, 10, &default_strengths(), Limits::default()).unwrap();
    assert!(probe.converged && probe.unconverged.is_empty(), "{:?}", probe.unconverged);
    assert!(probe.evaluations < 1_500, "{}", probe.evaluations);
    // From the other side, straight at the weakest penalty, to a gradient a thousand times smaller.
    let basis = Basis::new(&train).unwrap();
    let problem = Logistic::new(&basis, 10, 1e6).unwrap();
    let limits = Limits { gradient: 1e-9, decrease: 0.0, iterations: 20_000 };
    let start = problem.point(&Plain::zeros(&train, 10).unwrap()).unwrap();
    let best = minimise(&problem, start, limits).unwrap();
    let weight = problem.plain(&best.at).unwrap().head(Kind::Double).unwrap().weight;
    let difference = (&probe.head.weight.to_kind(Kind::Double) - &weight).abs().max().double_value(&[]);
    let largest = weight.abs().max().double_value(&[]);
    assert!(difference < 1e-3 * largest, "{difference} of {largest}");
}

/// Coordinates are a means: back and forth changes nothing.
#[test]
fn t10_a_point_is_the_same_head_in_other_coordinates() {
    let train = narrow(50, 8, 3, 0.05);
    let basis = Basis::new(&train).unwrap();
    let weak = Logistic::new(&basis, 3, 1e4).unwrap();
    let at = Tensor::arange(27, (Kind::Double, Device::Cpu)).view([3, 9]).sin();
    let there = weak.point(&weak.plain(&at).unwrap()).unwrap();
    assert!((there - &at).abs().max().double_value(&[]) < 1e-9);
    let strong = Logistic::new(&basis, 3, 1.0).unwrap();
    let plain = weak.plain(&at).unwrap();
    let again = strong.plain(&strong.point(&plain).unwrap()).unwrap();
    let (one, other) = (plain.head(Kind::Double).unwrap(), again.head(Kind::Double).unwrap());
    assert!((one.weight - other.weight).abs().max().double_value(&[]) < 1e-9);
    assert!((one.bias - other.bias).abs().max().double_value(&[]) < 1e-9);
}

#[test]
fn t10_a_fit_that_stops_at_its_bound_is_marked() {
    let train = narrow(100, 16, 5, 0.05);
    let limits = Limits { iterations: 0, ..Limits::default() };
    let probe = fit(&train, None, 5, &[1.0, 100.0], limits).unwrap();
    assert!(!probe.converged && probe.unconverged == [1.0, 100.0], "{probe:?}");
    let bounds =
        [1e-2, 1.0, 100.0, 1e6, 1e12].map(|strength| Limits::default().for_strength(strength).iterations);
    assert_eq!(bounds, [1_000, 1_000, 10_000, 100_000, 100_000]);
}
