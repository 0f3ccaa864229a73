//! Transfer against open_clip's zero-shot builder, WiSE-FT's steps (`transfer.py`) and scikit-learn's probe (`probe.py`).

use pairmill_tokens::{Tokenizer, Truncation};
use pairmill_train::eval::scores::{Scale, Scores};
use pairmill_train::eval::zero_shot::zero_shot_head;
use pairmill_train::model::{Architecture, Mode};
use pairmill_train::optim::{Precision, Schedule, Shape};
use pairmill_train::transfer::classifier::{Classifier, Head};
use pairmill_train::transfer::probe::lbfgs::Limits;
use pairmill_train::transfer::probe::{Features, fit};
use pairmill_train::transfer::tune::{Tuner, adamw};
use tch::{Device, Kind, Tensor, no_grad};

use super::{TRAINED, device, filled, fixture, formula, here, largest, micro, near, to_double};

/// Largest difference of a component of a head's unit rows.
const HEAD: f64 = 1e-6;
/// Points of accuracy that a probe may be off.
const PROBED: f64 = 0.2;

const CLASSES: [&str; 5] = ["red circle", "green_square", "a Very Long-Haired cat", "SeaLake", "naïve café"];
const TEMPLATES: [&str; 3] = ["a photo of a {}.", "itap of the {}.", "a bad sketch of {}"];
const BATCH: i64 = 8;

#[test]
fn zero_shot_heads_and_what_they_say_are_open_clips() {
    let expected = fixture("transfer");
    let tokenizer = Tokenizer::new().unwrap();
    let (classes, templates) = (CLASSES.map(String::from), TEMPLATES.map(String::from));
    for name in ["rn_tiny", "vit_tiny"] {
        let clip = filled(&Architecture::find(&name.replace('_', "-")).unwrap());
        let directions =
            no_grad(|| zero_shot_head(&clip, &tokenizer, Truncation::EndToken, &classes, &templates))
                .unwrap();
        near(name, &directions, &expected[&format!("{name}.head")], HEAD);
        let classifier = Classifier::new(clip.architecture(), CLASSES.len(), device()).unwrap();
        classifier.take_tower(&clip).unwrap();
        classifier.head().take(&Head::zero_shot(&directions, clip.logit_scale()).unwrap()).unwrap();
        let pixels = formula::pixels(BATCH as usize, clip.architecture().image_size() as usize);
        let pixels = pixels.to_device(device());
        let scores =
            no_grad(|| classifier.score(&classifier.features(&pixels, Mode::Eval).unwrap())).unwrap();
        let theirs = &expected[&format!("{name}.scores")];
        near(name, &scores, theirs, 1e-4);
        let labels: Vec<i64> = (0..BATCH).map(|n| n % CLASSES.len() as i64).collect();
        let accuracy = |logits: &Tensor| {
            let mut counted = Scores::new(CLASSES.len());
            counted.add(logits, &labels).unwrap();
            counted.acc1(Scale::Percent)
        };
        assert_eq!(accuracy(&scores), accuracy(theirs), "{name}");
    }
}

/// On every one of 320 pictures the class that open_clip gives it, and so its accuracy; 2e-4 is the least distance of the
/// best class from the next (`transfer.py` sees to it), and rounding is a tenth of that.
#[test]
fn zero_shot_gives_every_picture_open_clips_class() {
    const PICTURES: usize = 320;
    let expected = fixture("transfer");
    let tokenizer = Tokenizer::new().unwrap();
    let (classes, templates) = (CLASSES.map(String::from), TEMPLATES.map(String::from));
    for (name, layer) in [("rn_tiny", "visual.attnpool.c_proj.bias"), ("vit_tiny", "visual.ln_post.bias")] {
        let clip = filled(&Architecture::find(&name.replace('_', "-")).unwrap());
        // Without the mean of its features, or one class is given to all.
        let moved = |name_of: &str, weight: Tensor| match name_of == layer {
            true => expected[&format!("{name}.{layer}")].shallow_clone(),
            false => weight,
        };
        let all = clip.weights().all().into_iter();
        clip.assign(all.map(|weight| (weight.name.clone(), moved(&weight.name, weight.tensor)))).unwrap();
        let directions =
            no_grad(|| zero_shot_head(&clip, &tokenizer, Truncation::EndToken, &classes, &templates))
                .unwrap();
        let classifier = Classifier::new(clip.architecture(), CLASSES.len(), device()).unwrap();
        classifier.take_tower(&clip).unwrap();
        classifier.head().take(&Head::zero_shot(&directions, clip.logit_scale()).unwrap()).unwrap();
        let pixels = formula::pixels(PICTURES, clip.architecture().image_size() as usize);
        let pixels = pixels.to_device(device());
        let scores =
            no_grad(|| classifier.score(&classifier.features(&pixels, Mode::Eval).unwrap())).unwrap();
        let given = |scores: &Tensor| Vec::<i64>::try_from(scores.to_device(Device::Cpu)).unwrap();
        let theirs = given(&expected[&format!("{name}.predictions")]);
        assert_eq!(given(&scores.argmax(-1, false)), theirs, "{name}");
        // As transfer counts them; the labels are anything.
        let labels: Vec<i64> = (0..PICTURES as i64).map(|n| n % CLASSES.len() as i64).collect();
        let mut counted = Scores::new(CLASSES.len());
        counted.add(&scores, &labels).unwrap();
        let right = theirs.iter().zip(&labels).filter(|(given, label)| given == label).count();
        assert_eq!(counted.acc1(Scale::Percent), 100.0 * right as f64 / PICTURES as f64, "{name}");
        assert!(
            (0..CLASSES.len() as i64).all(|class| theirs.contains(&class)),
            "{name}: every class is given"
        );
    }
}

#[test]
fn fifty_steps_of_fine_tuning_follow_wise_fts_losses() {
    const STEPS: u64 = 50;
    const BATCHES: i64 = 4;
    let expected = fixture("transfer");
    tch::set_num_threads(1);
    for name in ["rn_micro", "vit_micro"] {
        let clip = filled(&micro(name));
        let embed_dim = clip.architecture().embed_dim;
        let classifier = Classifier::new(clip.architecture(), CLASSES.len(), device()).unwrap();
        classifier.take_tower(&clip).unwrap();
        let bias = Tensor::zeros([CLASSES.len() as i64], (Kind::Float, Device::Cpu));
        let head = Head { weight: formula::weight("head.weight", &[CLASSES.len() as i64, embed_dim]), bias };
        classifier.head().take(&head).unwrap();
        to_double(classifier.weights());
        let schedule = Schedule { base_lr: 3e-4, warmup_steps: 10, total_steps: STEPS, shape: Shape::Cosine };
        let mut tuner = Tuner::new(classifier, adamw(0.1), schedule, Precision::Fp32).unwrap();
        let count = BATCH * BATCHES;
        let pixels =
            formula::pixels(count as usize, clip.architecture().image_size() as usize).to_kind(Kind::Double);
        let pixels = pixels.to_device(device());
        let labels = Tensor::arange(count, (Kind::Int64, device())).remainder(CLASSES.len() as i64);
        let losses = Vec::<f64>::try_from(&expected[&format!("{name}.losses")]).unwrap();
        assert_eq!(losses.len() as u64, STEPS);
        for (step, theirs) in (0..STEPS).zip(losses) {
            let from = step as i64 % BATCHES * BATCH;
            let loss =
                tuner.step(step, &pixels.narrow(0, from, BATCH), &labels.narrow(0, from, BATCH)).unwrap();
            let ours = loss.double_value(&[]);
            assert!((ours - theirs).abs() <= TRAINED * theirs, "{name}, step {step}: {ours} and {theirs}");
        }
        let scores = no_grad(|| {
            let features = tuner.classifier.features(&pixels.narrow(0, 0, BATCH), Mode::Eval).unwrap();
            tuner.classifier.score(&features).unwrap()
        });
        let difference = largest(&scores, &expected[&format!("{name}.tuned_scores")]);
        assert!(difference <= 1e-6, "{name}: {difference:e}");
    }
}

#[derive(serde::Deserialize)]
struct Probes {
    cases: Vec<ProbeCase>,
}

#[derive(serde::Deserialize)]
struct ProbeCase {
    strength: f64,
    train_loss: f64,
    weight_norm: f64,
    test_acc1: f64,
}

/// Unit vectors: a direction a class under noise (`probe.py`).
fn features(name: &str, count: i64) -> Features {
    const CLASSES: i64 = 7;
    const WIDTH: i64 = 24;
    let labels = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let centres = formula::uniform_values("centres", (CLASSES * WIDTH) as usize).reshape([CLASSES, WIDTH]);
    let noise = formula::uniform_values(name, (count * WIDTH) as usize).reshape([count, WIDTH]);
    let values = centres.index_select(0, &labels) * 0.45 + noise;
    let norms = values.norm_scalaropt_dim(2, [1i64].as_slice(), true);
    Features { values: values / norms, labels }
}

#[test]
fn the_linear_probe_is_scikit_learns() {
    let text = std::fs::read_to_string(here("probe.json")).unwrap();
    let probes: Probes = serde_json::from_str(&text).unwrap();
    assert!(probes.cases.len() >= 5);
    let (train, test) = (features("train", 350), features("test", 2000));
    for case in probes.cases {
        let probe = fit(&train, Some(&test), 7, &[case.strength], Limits::default()).unwrap();
        let c = case.strength;
        assert!(probe.converged, "C = {c}");
        assert!(
            (probe.val_acc1 - case.test_acc1).abs() <= PROBED,
            "C = {c}: {} and {}",
            probe.val_acc1,
            case.test_acc1
        );
        let norm = probe.head.weight.norm().double_value(&[]);
        assert!((norm / case.weight_norm - 1.0).abs() < 1e-3, "C = {c}: {norm} and {}", case.weight_norm);
        let logits = train.values.linear(&probe.head.weight, Some(&probe.head.bias));
        let loss = logits.cross_entropy_for_logits(&train.labels).double_value(&[]);
        assert!((loss - case.train_loss).abs() < 1e-4, "C = {c}: {loss} and {}", case.train_loss);
    }
}
