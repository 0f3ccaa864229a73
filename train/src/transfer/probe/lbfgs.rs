//! Limited-memory BFGS (Nocedal and Wright 2006, algorithms 7.4 and 7.5) with a line search for the strong Wolfe
//! conditions (algorithms 3.5 and 3.6). Points and gradients are tensors on whatever device the features are.

use std::collections::VecDeque;

use tch::{Kind, Tensor};

use crate::torch::TorchError;

/// Something smooth to minimise.
pub trait Objective {
    /// Its value at a point, and its gradient there, of the point's shape.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn value_and_gradient(&self, at: &Tensor) -> Result<(f64, Tensor), TorchError>;
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// At rest when no component of the gradient is larger.
    pub gradient: f64,
    /// At rest when an iteration lowers the value by less than this share of it.
    pub decrease: f64,
    /// Iterations after which it stops wherever it is; of a probe, at strength 1 and below ([`Limits::for_strength`]).
    pub iterations: usize,
}

/// Most that a strength raises the bound of iterations by.
const MOST_ITERATIONS_FACTOR: f64 = 100.0;

impl Limits {
    /// The same for a probe's strength, scikit-learn's C. The weaker the penalty, the flatter the floor that leads to the
    /// optimum: iterations grow about with the square root of the condition number, which grows with C, so the bound
    /// grows by √C, up to a hundredfold.
    #[must_use]
    pub fn for_strength(self, strength: f64) -> Self {
        let factor = strength.max(1.0).sqrt().min(MOST_ITERATIONS_FACTOR);
        Self { iterations: (self.iterations as f64 * factor).ceil() as usize, ..self }
    }
}

impl Default for Limits {
    /// The gradient a hundred times smaller than scikit-learn's default asks for; its share of the value (64 ε).
    fn default() -> Self {
        Self { gradient: 1e-6, decrease: 64.0 * f64::EPSILON, iterations: 1_000 }
    }
}

/// Where it ended.
#[derive(Debug)]
pub struct Minimum {
    /// The point.
    pub at: Tensor,
    /// The value there.
    pub value: f64,
    /// Evaluations of value and gradient.
    pub evaluations: usize,
    /// Whether it came to rest.
    pub converged: bool,
}

/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 10;
/// Sufficient decrease and curvature of the line search.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Evaluations of one line search.
const TRIES: usize = 30;

#[derive(Debug)]
struct Point {
    at: Tensor,
    value: f64,
    gradient: Tensor,
}

struct Search<'a, O> {
    objective: &'a O,
    evaluations: usize,
}

/// Minimises from `start`.
///
/// # Errors
/// When libtorch refuses.
pub fn minimise<O: Objective>(objective: &O, start: Tensor, limits: Limits) -> Result<Minimum, TorchError> {
    let _no_grad = tch::no_grad_guard();
    let mut search = Search { objective, evaluations: 0 };
    let mut here = search.look(start)?;
    let mut pairs: VecDeque<(Tensor, Tensor, f64)> = VecDeque::with_capacity(MEMORY);
    let mut converged = largest(&here.gradient)? <= limits.gradient;
    for iteration in 0..limits.iterations {
        if converged {
            break;
        }
        let mut direction = downhill(&here.gradient, &pairs)?;
        let mut slope = dot(&direction, &here.gradient)?;
        if slope >= 0.0 {
            // Rounding has spoilt the memory: begin again along the gradient.
            pairs.clear();
            direction = here.gradient.f_neg()?;
            slope = dot(&direction, &here.gradient)?;
        }
        // The first step has no scale yet.
        let first =
            if iteration == 0 { 1.0f64.min(1.0 / dot(&here.gradient, &here.gradient)?.sqrt()) } else { 1.0 };
        let Some(next) = search.along(&here, &direction, slope, first)? else {
            if pairs.is_empty() {
                break;
            }
            pairs.clear();
            continue;
        };
        let (step, change) = (next.at.f_sub(&here.at)?, next.gradient.f_sub(&here.gradient)?);
        let curvature = dot(&step, &change)?;
        if curvature > 1e-10 * dot(&change, &change)? {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back((step, change, 1.0 / curvature));
        }
        let scale = here.value.abs().max(next.value.abs()).max(1.0);
        converged =
            largest(&next.gradient)? <= limits.gradient || here.value - next.value <= limits.decrease * scale;
        here = next;
    }
    Ok(Minimum { at: here.at, value: here.value, evaluations: search.evaluations, converged })
}

/// Minus the approximate inverse Hessian times the gradient.
fn downhill(gradient: &Tensor, pairs: &VecDeque<(Tensor, Tensor, f64)>) -> Result<Tensor, TorchError> {
    let mut q = gradient.f_neg()?;
    let mut alphas = Vec::with_capacity(pairs.len());
    for (step, change, rho) in pairs.iter().rev() {
        let alpha = rho * dot(step, &q)?;
        q = q.f_sub(&change.f_mul_scalar(alpha)?)?;
        alphas.push(alpha);
    }
    if let Some((_, change, rho)) = pairs.back() {
        q = q.f_mul_scalar(1.0 / (rho * dot(change, change)?))?;
    }
    for ((step, change, rho), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = rho * dot(change, &q)?;
        q = q.f_add(&step.f_mul_scalar(alpha - beta)?)?;
    }
    Ok(q)
}

impl<O: Objective> Search<'_, O> {
    fn look(&mut self, at: Tensor) -> Result<Point, TorchError> {
        self.evaluations += 1;
        let (value, gradient) = self.objective.value_and_gradient(&at)?;
        Ok(Point { at, value, gradient })
    }

    /// A point along `direction` that meets the strong Wolfe conditions, or at least lies lower; `None` if there is none.
    fn along(
        &mut self,
        from: &Point,
        direction: &Tensor,
        slope: f64,
        first: f64,
    ) -> Result<Option<Point>, TorchError> {
        // `low` is the best length so far that lies low enough; the wanted ones are between it and `high`.
        let (mut low, mut low_value, mut low_slope) = (0.0, from.value, slope);
        let mut high: Option<(f64, f64)> = None;
        let mut kept: Option<Point> = None;
        let mut length = first;
        for _ in 0..TRIES {
            let point = self.look(from.at.f_add(&direction.f_mul_scalar(length)?)?)?;
            let sunk = point.value <= from.value + DECREASE * length * slope;
            if !sunk || (kept.is_some() && point.value >= low_value) {
                high = Some((length, point.value));
            } else {
                let here = dot(&point.gradient, direction)?;
                if here.abs() <= -CURVATURE * slope {
                    return Ok(Some(point));
                }
                let turned = match high {
                    Some((high, _)) => here * (high - low) >= 0.0,
                    None => here >= 0.0,
                };
                if turned {
                    high = Some((low, low_value));
                }
                (low, low_value, low_slope) = (length, point.value, here);
                kept = Some(point);
            }
            length = match high {
                None => length * 2.0,
                Some((high, high_value)) => {
                    // The minimum of the parabola through both ends, kept off them.
                    let width = high - low;
                    let bend = high_value - low_value - low_slope * width;
                    let share = if bend > 0.0 { -low_slope * width / (2.0 * bend) } else { 0.5 };
                    low + width * share.clamp(0.1, 0.9)
                }
            };
            if (length - low).abs() < 1e-14 * first.max(low) {
                break;
            }
        }
        Ok(kept)
    }
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64, TorchError> {
    Ok(a.f_mul(b)?.f_sum(Kind::Double)?.f_double_value(&[])?)
}

fn largest(gradient: &Tensor) -> Result<f64, TorchError> {
    Ok(gradient.f_abs()?.f_max()?.f_double_value(&[])?)
}
