//! AdamW over all parameters of a model in one fused call a group. The state is exported as named tensors beside the
//! model's, so a checkpoint of either is a list of names.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{DecayRule, OptimError, Scaler};
use crate::torch::gradients::{self, AdamwLists, AdamwStep};
use crate::weights::Weights;

/// Weight decay where none is given; open_clip's default.
pub const DEFAULT_WEIGHT_DECAY: f64 = 0.2;

/// What AdamW needs besides a learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay of the parameters that decay.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub decay_rule: DecayRule,
    /// Largest joint L2 norm of the gradients; `None` leaves them as they are.
    pub clip_norm: Option<f64>,
}

impl AdamWConfig {
    /// open_clip's defaults for an architecture: one set where the name contains `vit`, another elsewhere
    /// (`open_clip_train/params.py`).
    pub fn for_model(name: &str) -> Self {
        let (beta1, beta2, eps) =
            if name.to_lowercase().contains("vit") { (0.9, 0.98, 1e-6) } else { (0.9, 0.999, 1e-8) };
        Self {
            beta1,
            beta2,
            eps,
            weight_decay: DEFAULT_WEIGHT_DECAY,
            decay_rule: DecayRule::default(),
            clip_norm: None,
        }
    }
}

/// What a step tells the log. Reading either waits for the device.
#[derive(Debug)]
pub struct StepOutcome {
    /// Joint L2 norm of the gradients before clipping, a scalar f32 on the device. Only with clipping.
    pub gradient_norm: Option<Tensor>,
}

/// Parameters that share a weight decay, with their moments: entry `i` of each list belongs to one parameter.
#[derive(Debug, Default)]
struct Group {
    decays: bool,
    names: Vec<String>,
    params: Vec<Tensor>,
    exp_avgs: Vec<Tensor>,
    exp_avg_sqs: Vec<Tensor>,
    steps: Vec<Tensor>,
}

/// The optimiser of a model: its parameters (shared, not copied) and their moments.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    groups: [Group; 2],
}

impl AdamW {
    /// An optimiser at step 0 over the parameters of `weights` that require gradients now; freeze towers before.
    ///
    /// # Errors
    /// When memory runs out or nothing learns.
    pub fn new(weights: &Weights, config: AdamWConfig) -> Result<Self, OptimError> {
        let mut groups = [Group::default(), Group { decays: true, ..Group::default() }];
        for weight in weights.parameters().into_iter().filter(|weight| weight.tensor.requires_grad()) {
            let decays = config.decay_rule.decays(&weight.name, weight.tensor.dim());
            let group = &mut groups[usize::from(decays)];
            // Moments keep the parameter's memory format: the fused kernel walks all of them in one order.
            let zeros = || -> Result<Tensor, OptimError> { Ok(weight.tensor.f_detach()?.f_zeros_like()?) };
            group.exp_avgs.push(zeros()?);
            group.exp_avg_sqs.push(zeros()?);
            group.steps.push(Tensor::f_zeros([], (Kind::Float, weight.tensor.device()))?);
            group.names.push(weight.name);
            group.params.push(weight.tensor);
        }
        if groups.iter().all(|group| group.names.is_empty()) {
            return Err(OptimError::NothingLearns);
        }
        Ok(Self { config, groups })
    }

    /// Its settings.
    pub fn config(&self) -> &AdamWConfig {
        &self.config
    }

    /// Number of tensors that decay and that do not.
    pub fn num_decaying(&self) -> (usize, usize) {
        (self.groups[1].names.len(), self.groups[0].names.len())
    }

    /// The gradients of all parameters, sharing memory, in the order of [`AdamW::names`].
    ///
    /// # Errors
    /// When a parameter has none.
    pub fn gradients(&self) -> Result<Vec<Tensor>, OptimError> {
        let mut all = Vec::with_capacity(self.groups.iter().map(|group| group.params.len()).sum());
        for group in &self.groups {
            for (param, name) in group.params.iter().zip(&group.names) {
                let gradient = param.f_grad()?;
                if !gradient.defined() {
                    return Err(OptimError::NoGradient(name.clone()));
                }
                all.push(gradient);
            }
        }
        Ok(all)
    }

    /// Names of the parameters it moves: first those that do not decay, then those that do.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| group.names.iter().map(String::as_str))
    }

    /// One update with learning rate `lr` from the gradients of the backward pass: unscale, clip, step, and the scaler's
    /// update. Gradients stay; see [`AdamW::drop_gradients`].
    ///
    /// With a scaler, a step whose gradients are not all finite changes nothing but the scale.
    ///
    /// # Errors
    /// When a parameter has no gradient, or libtorch refuses.
    pub fn step(&mut self, lr: f64, scaler: Option<&mut Scaler>) -> Result<StepOutcome, OptimError> {
        self.step_guarded(lr, scaler, None)
    }

    /// The same; where there is no scaler, `guard` (an f32 scalar on the device) becomes 1 if a gradient is not finite,
    /// else 0, and with 1 nothing is changed. Nobody waits for the device.
    ///
    /// # Errors
    /// As [`AdamW::step`].
    pub fn step_guarded(
        &mut self,
        lr: f64,
        scaler: Option<&mut Scaler>,
        guard: Option<&Tensor>,
    ) -> Result<StepOutcome, OptimError> {
        let all = self.gradients()?;
        let mut scaler = scaler;
        let guard = guard.filter(|_| scaler.is_none());
        if let Some(scaler) = scaler.as_deref_mut() {
            scaler.unscale(&all)?;
        }
        if let Some(guard) = guard {
            let _ = guard.shallow_clone().f_zero_()?;
            // Multiplied by one, gradients stay as they are.
            gradients::unscale(&all, guard, &guard.f_ones_like()?)?;
        }
        let gradient_norm = match self.config.clip_norm {
            Some(max_norm) => Some(gradients::clip_norm(&all, Some(max_norm))?),
            None => None,
        };
        let found_inf = scaler.as_deref().map(Scaler::found_inf).or(guard);
        let (free, decaying) = all.split_at(self.groups[0].params.len());
        for (group, gradients) in self.groups.iter().zip([free, decaying]) {
            if gradients.is_empty() {
                continue;
            }
            let lists = AdamwLists {
                params: &group.params,
                gradients,
                exp_avgs: &group.exp_avgs,
                exp_avg_sqs: &group.exp_avg_sqs,
                steps: &group.steps,
            };
            let AdamWConfig { beta1, beta2, eps, weight_decay, .. } = self.config;
            let weight_decay = if group.decays { weight_decay } else { 0.0 };
            gradients::adamw(lists, AdamwStep { lr, beta1, beta2, eps, weight_decay }, found_inf)?;
        }
        if let Some(scaler) = scaler {
            scaler.update()?;
        }
        Ok(StepOutcome { gradient_norm })
    }

    /// Forgets all gradients, so that the next backward pass allocates them anew instead of adding.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn drop_gradients(&self) -> Result<(), OptimError> {
        for group in self.groups.iter().filter(|group| !group.params.is_empty()) {
            gradients::drop_gradients(&group.params)?;
        }
        Ok(())
    }

    /// The state as named tensors, sharing memory: `exp_avg.NAME`, `exp_avg_sq.NAME` and `step.NAME` of each parameter.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.groups
            .iter()
            .flat_map(|group| {
                let kinds = [
                    ("exp_avg", &group.exp_avgs),
                    ("exp_avg_sq", &group.exp_avg_sqs),
                    ("step", &group.steps),
                ];
                kinds.into_iter().flat_map(|(kind, tensors)| {
                    let named = group.names.iter().zip(tensors);
                    named.map(move |(name, tensor)| (format!("{kind}.{name}"), tensor.shallow_clone()))
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, no_grad};

    use super::*;
    use crate::weights::Init;

    /// The formula of `tests/parity/optim.py`: values in (-1, 1) that every index of every tensor makes anew.
    fn formula(numel: i64, seed: f64) -> Tensor {
        (Tensor::arange(numel, (Kind::Double, Device::Cpu)) * 0.7 + seed).sin().to_kind(Kind::Float)
    }

    const SHAPES: [(&str, &[i64]); 4] = [
        ("visual.conv1.weight", &[2, 3, 3, 3]),
        ("visual.bn1.weight", &[5]),
        ("text_projection", &[9, 7]),
        ("logit_scale", &[]),
    ];

    fn weights() -> Weights {
        let weights = Weights::new(Device::Cpu);
        for (index, (name, shape)) in SHAPES.iter().enumerate() {
            let tensor = weights.root().parameter(name, shape, Init::Constant(0.0)).unwrap();
            let numel = shape.iter().product();
            no_grad(|| tensor.shallow_clone().copy_(&formula(numel, index as f64).reshape(*shape)));
        }
        weights
    }

    fn run(weights: &Weights, optimizer: &mut AdamW, steps: std::ops::Range<u64>) {
        for step in steps {
            for (index, weight) in weights.parameters().iter().enumerate() {
                // The gradient of sum(weight · g) is g, with a size that changes from step to step.
                let g = formula(weight.tensor.numel() as i64, (step * 10 + index as u64) as f64)
                    .reshape(weight.tensor.size())
                    * ((step % 7) as f64 * 0.3 + 0.01);
                (&weight.tensor * g).sum(Kind::Float).backward();
            }
            optimizer.step(1e-2 / (1.0 + step as f64 * 0.1), None).unwrap();
            optimizer.drop_gradients().unwrap();
        }
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.detach().reshape([-1])).unwrap()
    }

    #[derive(serde::Deserialize)]
    struct Case {
        config: AdamWConfig,
        tensors: std::collections::BTreeMap<String, Vec<f32>>,
    }

    #[test]
    fn a_hundred_steps_are_those_of_torch() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/parity/adamw.json")).unwrap();
        assert_eq!(cases.len(), 3);
        for Case { config, tensors } in cases {
            let weights = weights();
            let mut optimizer = AdamW::new(&weights, config).unwrap();
            run(&weights, &mut optimizer, 0..100);
            let mut found = optimizer.state();
            found.extend(weights.parameters().into_iter().map(|weight| (weight.name, weight.tensor)));
            assert_eq!(found.len(), tensors.len());
            for (name, tensor) in found {
                for (ours, theirs) in values(&tensor).iter().zip(&tensors[&name]) {
                    assert!((ours - theirs).abs() <= 1e-6, "{config:?} {name}: {ours} instead of {theirs}");
                }
            }
        }
    }

    #[test]
    fn the_same_steps_give_the_same_bits() {
        let outcome = || {
            let weights = weights();
            let mut optimizer = AdamW::new(&weights, AdamWConfig::for_model("ViT-B-32")).unwrap();
            run(&weights, &mut optimizer, 0..20);
            weights.parameters().iter().flat_map(|w| values(&w.tensor)).map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(outcome(), outcome());
    }

    #[test]
    fn an_infinite_gradient_changes_the_scale_and_nothing_else() {
        let weights = weights();
        let mut optimizer = AdamW::new(&weights, AdamWConfig::for_model("RN50")).unwrap();
        let mut scaler = Scaler::new(Device::Cpu).unwrap();
        let snapshot = |optimizer: &AdamW| -> Vec<f32> {
            let params = weights.parameters().into_iter().map(|weight| weight.tensor);
            params
                .chain(optimizer.state().into_iter().map(|(_, tensor)| tensor))
                .flat_map(|t| values(&t))
                .collect()
        };
        let before = snapshot(&optimizer);
        let loss = |factor: f64| {
            let sum = |w: &crate::weights::Weight| (&w.tensor * factor).sum(Kind::Float);
            weights.parameters().iter().map(sum).reduce(|a, b| a + b).unwrap()
        };
        scaler.scale(&loss(1e38)).unwrap().backward();
        optimizer.step(0.1, Some(&mut scaler)).unwrap();
        assert_eq!(before, snapshot(&optimizer));
        assert_eq!(scaler.state().unwrap().scale, 32768.0);

        optimizer.drop_gradients().unwrap();
        scaler.scale(&loss(1.0)).unwrap().backward();
        optimizer.step(0.1, Some(&mut scaler)).unwrap();
        let steps: Vec<f32> = optimizer
            .state()
            .iter()
            .filter(|(name, _)| name.starts_with("step."))
            .flat_map(|(_, tensor)| values(tensor))
            .collect();
        assert_eq!(steps, [1.0; 4], "the skipped step does not count");
    }

    #[test]
    fn clipping_bounds_the_joint_norm_and_reports_the_one_before() {
        let weights = weights();
        let config = AdamWConfig { clip_norm: Some(1.0), ..AdamWConfig::for_model("RN50") };
        let mut optimizer = AdamW::new(&weights, config).unwrap();
        for weight in weights.parameters() {
            (weight.tensor * 2.0).sum(Kind::Float).backward();
        }
        let before = (4.0 * weights.num_parameters() as f64).sqrt();
        let norm = optimizer.step(0.0, None).unwrap().gradient_norm.unwrap();
        assert!((f64::try_from(&norm).unwrap() - before).abs() < 1e-3);
        let clipped: f64 = optimizer
            .gradients()
            .unwrap()
            .iter()
            .map(|g| f64::try_from(g.square().sum(Kind::Double)).unwrap())
            .sum();
        assert!((clipped.sqrt() - 1.0).abs() < 1e-4, "{clipped}");
    }

    #[test]
    fn a_parameter_the_loss_forgot_is_named() {
        let weights = weights();
        let mut optimizer = AdamW::new(&weights, AdamWConfig::for_model("RN50")).unwrap();
        weights.parameters()[0].tensor.sum(Kind::Float).backward();
        let error = optimizer.step(0.1, None).unwrap_err();
        assert!(matches!(&error, OptimError::NoGradient(name) if name == "visual.bn1.weight"), "{error}");
        assert!(matches!(
            AdamW::new(&Weights::new(Device::Cpu), AdamWConfig::for_model("RN50")),
            Err(OptimError::NothingLearns)
        ));
    }
}
