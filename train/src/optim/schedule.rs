//! The learning rate as a pure function of the step. Formulas of open_clip 3.3.0 (`open_clip_train/scheduler.py`), in
//! its order of operations, so the values are the same to the last bit.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// What the learning rate does after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Shape {
    /// Falls along half a cosine to 0 at the last step.
    Cosine,
    /// Stays.
    Const,
    /// Stays, and falls over the last `steps`.
    ConstCooldown {
        /// Length of the fall, in steps.
        steps: u64,
        /// 1 falls in a straight line; open_clip's default.
        power: f64,
        /// Where it ends; open_clip's default is 0.
        end_lr: f64,
    },
}

/// Learning rate of every step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Largest learning rate, reached at the end of the warm-up.
    pub base_lr: f64,
    /// Steps over which it climbs in a straight line; the first step already has `base_lr / warmup_steps`.
    pub warmup_steps: u64,
    /// Steps of the whole run, warm-up included.
    pub total_steps: u64,
    /// What comes after the warm-up.
    pub shape: Shape,
}

impl Schedule {
    /// Learning rate of `step`, counted from 0. Past the last step it stays where the schedule ends.
    pub fn lr(&self, step: u64) -> f64 {
        let Self { base_lr, warmup_steps, total_steps, shape } = *self;
        if step < warmup_steps {
            return base_lr * (step + 1) as f64 / warmup_steps as f64;
        }
        // How much of a phase that ends with the run is over: `e` of `es` steps.
        let phase = |start: u64| {
            let es = total_steps.saturating_sub(start);
            ((step - start).min(es) as f64, es as f64)
        };
        match shape {
            Shape::Const => base_lr,
            Shape::Cosine => match phase(warmup_steps) {
                (_, 0.0) => 0.0,
                (e, es) => 0.5 * (1.0 + (PI * e / es).cos()) * base_lr,
            },
            Shape::ConstCooldown { steps, power, end_lr } => {
                let start = total_steps.saturating_sub(steps);
                if step < start {
                    return base_lr;
                }
                match phase(start) {
                    (_, 0.0) => end_lr,
                    (e, es) => (1.0 - (e / es)).powf(power) * (base_lr - end_lr) + end_lr,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `tests/parity/optim.py` from open_clip's own functions.
    #[derive(serde::Deserialize)]
    struct Case {
        schedule: Schedule,
        lr: Vec<(u64, f64)>,
    }

    #[test]
    fn every_value_is_open_clips() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/parity/schedule.json")).unwrap();
        assert!(cases.len() >= 6);
        for Case { schedule, lr } in cases {
            for (step, expected) in lr {
                let ours = schedule.lr(step);
                // Equal but for the last bit of a cosine or power of another libm.
                assert!(
                    (ours - expected).abs() <= 1e-15 * schedule.base_lr,
                    "{schedule:?} step {step}: {ours} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn degenerate_lengths_stay_finite() {
        for shape in
            [Shape::Cosine, Shape::Const, Shape::ConstCooldown { steps: 50, power: 2.0, end_lr: 1e-5 }]
        {
            for (warmup_steps, total_steps) in [(0, 0), (10, 10), (20, 10), (0, 1), (5, 20)] {
                let schedule = Schedule { base_lr: 1e-3, warmup_steps, total_steps, shape };
                for step in [0, 1, 9, 10, 19, 20, 1000] {
                    let lr = schedule.lr(step);
                    assert!((0.0..=1e-3).contains(&lr), "{schedule:?} step {step}: {lr}");
                }
            }
        }
    }
}
