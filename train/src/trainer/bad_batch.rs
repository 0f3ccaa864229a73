//! Batches whose loss or gradients are not finite. The losses of the last steps stay on the device until somebody looks
//! ([`Unseen`]), so a step waits for nothing; where a run may leave such batches out, the [`Guard`] does that on the
//! device too.

use pairmill_loader::Slot;
use tch::{Kind, Tensor, no_grad};

use super::step::StepOutcome;
use crate::log::StepWindow;
use crate::objective::features::Exchange;
use crate::ranks::Ranks;
use crate::torch::TorchError;
use crate::torch::memory::Readback;
use crate::weights::{Role, Weights};

/// Steps between two looks at the most; each keeps the keys of its samples until then.
const MAX_STEPS: usize = 100;

/// Numbers of a step: loss, accuracy, whether it was left out.
const NUMBERS: usize = 3;

/// A step that nobody has looked at yet.
#[derive(Debug)]
struct Step {
    step: u64,
    outcome: StepOutcome,
    slots: Vec<Slot>,
}

/// Steps since the last look.
#[derive(Debug, Default)]
pub struct Unseen(Vec<Step>);

/// A step that was looked at.
#[derive(Debug)]
pub struct Seen {
    /// Its number, from 1.
    pub step: u64,
    /// Mean loss of the whole batch.
    pub loss: f64,
    /// Share of the batch's images whose caption scores highest.
    pub accuracy: f64,
    /// Whether its gradients were not finite, where a guard looks at them.
    pub is_left_out: bool,
    /// The samples of this rank's share.
    pub slots: Vec<Slot>,
}

impl Unseen {
    /// Adds a step.
    pub fn push(&mut self, step: u64, outcome: &StepOutcome, slots: Vec<Slot>) {
        let share = |tensor: &Tensor| tensor.shallow_clone();
        let outcome = StepOutcome {
            loss: share(&outcome.loss),
            accuracy: share(&outcome.accuracy),
            gradient_norm: None,
            left_out: outcome.left_out.as_ref().map(share),
        };
        self.0.push(Step { step, outcome, slots });
    }

    /// Whether a look is due.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_STEPS
    }

    /// Asks for all of them, on every rank, and waits for nothing; `None` if there is none.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn ask(&mut self, ranks: &Ranks) -> Result<Option<Asked>, TorchError> {
        let steps = std::mem::take(&mut self.0);
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Ok(None) };
        let window = StepWindow { first: first.step, last: last.step };
        let mut all = Vec::with_capacity(steps.len() * NUMBERS);
        for Step { outcome, .. } in &steps {
            let none = outcome.loss.f_zeros_like()?;
            for number in [&outcome.loss, &outcome.accuracy, outcome.left_out.as_ref().unwrap_or(&none)] {
                all.push(number.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([])?);
            }
        }
        let numbers = Tensor::f_stack(&all, 0)?;
        ranks.sum(&numbers)?;
        let back = Readback::begin(&numbers)?;
        let steps = steps.into_iter().map(|step| (step.step, step.slots)).collect();
        Ok(Some(Asked { window, steps, back, world: ranks.world() as f64 }))
    }
}

/// Steps whose numbers are on their way from the device.
#[derive(Debug)]
pub struct Asked {
    window: StepWindow,
    steps: Vec<(u64, Vec<Slot>)>,
    back: Readback,
    world: f64,
}

impl Asked {
    /// Whether they have arrived, as they have at once on the CPU.
    pub fn is_here(&self) -> bool {
        self.back.is_here()
    }

    /// Waits for them.
    ///
    /// # Errors
    /// An error of any kernel before them.
    pub fn look(self) -> Result<(StepWindow, Vec<Seen>), TorchError> {
        let numbers = self.back.wait()?;
        let seen = self.steps.into_iter().zip(numbers.as_chunks::<NUMBERS>().0);
        let seen = seen.map(|((step, slots), [loss, accuracy, left_out])| Seen {
            step,
            loss: loss / self.world,
            accuracy: accuracy / self.world,
            is_left_out: *left_out > 0.0,
            slots,
        });
        Ok((self.window, seen.collect()))
    }
}

/// Leaves out the steps of bad batches, on the device: weights and moments do not move, and batch norm's statistics go
/// back to what they were.
#[derive(Debug)]
pub struct Guard {
    /// 1 after a step whose gradients were not finite, else 0; f32.
    flag: Tensor,
    buffers: Vec<Tensor>,
    before: Vec<Tensor>,
}

impl Guard {
    /// For the model of these weights.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(weights: &Weights) -> Result<Self, TorchError> {
        let buffers = weights.all().into_iter().filter(|weight| weight.role == Role::Buffer);
        let buffers: Vec<Tensor> = buffers.map(|weight| weight.tensor).collect();
        let before = buffers.iter().map(Tensor::f_zeros_like).collect::<Result<_, _>>()?;
        Ok(Self { flag: Tensor::f_zeros([], (Kind::Float, weights.device()))?, buffers, before })
    }

    /// What the optimiser sets.
    pub fn flag(&self) -> &Tensor {
        &self.flag
    }

    /// Before a step.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn begin(&self) -> Result<(), TorchError> {
        for (buffer, before) in self.buffers.iter().zip(&self.before) {
            no_grad(|| before.shallow_clone().f_copy_(buffer))?;
        }
        Ok(())
    }

    /// After a step: whether it was left out, for [`Unseen`]. `by_scaler` says that the loss scaler of fp16 looks at the
    /// gradients, whose infinities are no fault of the batch; then the loss decides.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn end(&self, loss: &Tensor, by_scaler: bool) -> Result<Tensor, TorchError> {
        let is_lost = loss.f_isfinite()?.f_logical_not()?;
        let is_left_out = if by_scaler {
            is_lost
        } else {
            is_lost.f_logical_or(&self.flag.f_gt(0.0)?.f_reshape(loss.size())?)?
        };
        for (buffer, before) in self.buffers.iter().zip(&self.before) {
            no_grad(|| -> Result<(), TorchError> {
                let kept = before.f_where_self(&is_left_out, buffer)?;
                buffer.shallow_clone().f_copy_(&kept)?;
                Ok(())
            })?;
        }
        Ok(is_left_out)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::optim::{AdamW, AdamWConfig};
    use crate::weights::Init;

    fn bits(tensors: &[Tensor]) -> Vec<u32> {
        let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach().reshape([-1])).unwrap();
        tensors.iter().flat_map(values).map(f32::to_bits).collect()
    }

    struct Bench {
        weights: Weights,
        optimiser: AdamW,
        guard: Guard,
    }

    impl Bench {
        fn new() -> Self {
            let weights = Weights::new(Device::Cpu);
            let _ = weights.root().parameter("weight", &[2, 3], Init::Constant(0.5)).unwrap();
            let _ = weights.root().buffer("mean", &[2], Kind::Float, 1.0).unwrap();
            let _ = weights.root().buffer("tracked", &[], Kind::Int64, 0.0).unwrap();
            let optimiser = AdamW::new(&weights, AdamWConfig::for_model("RN50")).unwrap();
            let guard = Guard::new(&weights).unwrap();
            Self { weights, optimiser, guard }
        }

        /// A step over a batch whose every number is `value`, as a tower with batch norm makes it.
        fn step(&mut self, value: f64, guarded: bool) -> bool {
            self.guard.begin().unwrap();
            let all: Vec<Tensor> = self.weights.all().into_iter().map(|weight| weight.tensor).collect();
            let _ = no_grad(|| all[1].shallow_clone().g_mul_scalar_(0.9).g_add_scalar_(value));
            let _ = no_grad(|| all[2].shallow_clone().g_add_scalar_(1));
            let loss = (&all[0] * value).sum(Kind::Float);
            loss.backward();
            let flag = guarded.then(|| self.guard.flag());
            self.optimiser.step_guarded(0.1, None, flag).unwrap();
            self.optimiser.drop_gradients().unwrap();
            guarded && self.guard.end(&loss.detach(), false).unwrap().int64_value(&[]) != 0
        }

        fn all(&self) -> Vec<u32> {
            let mut all: Vec<Tensor> =
                self.weights.all().into_iter().map(|weight| weight.tensor.to_kind(Kind::Float)).collect();
            all.extend(self.optimiser.state().into_iter().map(|(_, tensor)| tensor));
            bits(&all)
        }
    }

    #[test]
    fn t01_a_bad_batch_moves_nothing_and_a_good_one_moves_as_without_a_guard() {
        let (mut plain, mut guarded, mut with_bad) = (Bench::new(), Bench::new(), Bench::new());
        for value in [0.3, -0.7, 1.1] {
            plain.step(value, false);
            assert!(!guarded.step(value, true));
            for bad in [f64::NAN, f64::INFINITY] {
                assert!(with_bad.step(bad, true));
            }
            assert!(!with_bad.step(value, true));
        }
        assert_eq!(plain.all(), guarded.all());
        assert_eq!(plain.all(), with_bad.all());
    }

    #[test]
    fn t01_the_step_and_its_samples_are_found_in_the_window() {
        let mut unseen = Unseen::default();
        for step in 11..=13 {
            let loss = Tensor::from(if step == 12 { f32::NAN } else { 0.5 });
            let outcome =
                StepOutcome { loss, accuracy: Tensor::from(0.25f32), gradient_norm: None, left_out: None };
            unseen.push(step, &outcome, Vec::new());
        }
        let (window, seen) = unseen.ask(&Ranks::single()).unwrap().unwrap().look().unwrap();
        assert_eq!(window, StepWindow { first: 11, last: 13 });
        let bad: Vec<u64> = seen.iter().filter(|seen| !seen.loss.is_finite()).map(|seen| seen.step).collect();
        assert_eq!((seen.len(), bad, seen[2].accuracy), (3, vec![12], 0.25));
        assert!(unseen.ask(&Ranks::single()).unwrap().is_none());
    }
}
