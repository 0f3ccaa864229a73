//! Zero-shot classification: class names become prompts, prompts become a linear head, and images are told by it
//! (Radford et al. 2021, §3.1.4).

use pairmill_tokens::{Tokenizer, Truncation};
use tch::{Kind, Tensor};

use super::scores::{Scale, Scores};
use super::task::{PLACE, ZeroShotTask};
use super::{EvalSetup, Metric};
use crate::error::TrainError;
use crate::model::{Clip, Mode, trimmed};
use crate::objective::normalise;

/// Prompts per forward pass of the text tower.
const PROMPTS_PER_PASS: usize = 256;

/// The classifier, classes × embedding: for each class the mean of the unit features of its prompts, of unit norm.
///
/// # Errors
/// When the model refuses.
pub fn zero_shot_head(
    model: &Clip,
    tokenizer: &Tokenizer,
    truncation: Truncation,
    classes: &[String],
    templates: &[String],
) -> Result<Tensor, TrainError> {
    let prompts: Vec<String> = classes
        .iter()
        .flat_map(|class| templates.iter().map(move |template| template.replace(PLACE, class)))
        .collect();
    let mut encoder = tokenizer.encoder();
    let context_length = model.architecture().text.context_length;
    let row_ids = usize::try_from(context_length).unwrap_or(1).max(1);
    let mut features = Vec::new();
    for part in prompts.chunks(PROMPTS_PER_PASS) {
        let mut rows = vec![0i32; row_ids * part.len()];
        for (prompt, row) in part.iter().zip(rows.chunks_mut(row_ids)) {
            encoder.tokenize_into(prompt, truncation, row);
        }
        let tokens = Tensor::f_from_slice(&rows)?.f_view([part.len() as i64, context_length])?;
        let tokens = trimmed(&tokens)?.f_to_kind(Kind::Int64)?.f_to_device(model.weights().device())?;
        features.push(normalise(&model.encode_text(&tokens)?)?);
    }
    let all = Tensor::f_cat(&features, 0)?.f_view([classes.len() as i64, templates.len() as i64, -1])?;
    Ok(normalise(&all.f_mean_dim([1i64].as_slice(), false, Kind::Float)?)?)
}

/// Accuracies of a task: `acc1`, `acc5` (with more than five classes) and `mean_per_class_recall`.
///
/// # Errors
/// When shards are missing or damaged, or a label is no class of the task.
pub fn evaluate(model: &Clip, setup: &EvalSetup<'_>, task: &ZeroShotTask) -> Result<Vec<Metric>, TrainError> {
    let _no_grad = tch::no_grad_guard();
    let head = {
        let _autocast = setup.autocast()?;
        zero_shot_head(model, setup.tokenizer, setup.truncation, &task.classes, &task.templates)?
    };
    let mut feed = setup.feed(&task.shards, &task.samples)?;
    let mut scores = Scores::new(task.classes.len());
    while let Some(batch) = feed.next()? {
        let largest = batch.labels.f_max()?.f_int64_value(&[])?;
        if largest >= task.classes.len() as i64 {
            return Err(TrainError::Label {
                task: task.name.clone(),
                label: largest,
                classes: task.classes.len(),
            });
        }
        let views = batch.whole()?;
        let features = {
            let _autocast = setup.autocast()?;
            model.encode_image(&views.pixels, Mode::Eval)?
        };
        feed.prefetch();
        let features = normalise(&features)?;
        scores.add(&features.f_matmul(&head.f_tr()?)?, &Vec::try_from(&batch.labels)?)?;
    }
    let skipped = setup.skipped(&task.name, &mut feed)?;
    let mut numbers = scores.numbers();
    setup.ranks.sum_numbers(&mut numbers, setup.device)?;
    let scores = Scores::from_numbers(task.classes.len(), &numbers);
    let metric = |(name, value): (&str, f64)| Metric {
        task: task.name.clone(),
        name: name.into(),
        value,
        num_samples: scores.num_samples(),
    };
    Ok(scores.metrics(Scale::Share).into_iter().map(metric).chain(skipped).collect())
}
