//! How well images and captions of a held-out set find each other, and the contrastive loss on it.

use pairmill_loader::{DatasetConfig, Origin};
use tch::Tensor;

use super::metrics::recall_at;
use super::{EvalSetup, Metric};
use crate::error::TrainError;
use crate::model::{Clip, Mode};
use crate::objective::clip::Contrastive;
use crate::objective::features::Exchange;
use crate::objective::{FeatureLoss, normalise};
use crate::ranks::number;

/// The ranks at which a partner counts as found.
pub const RECALL_AT: [i64; 3] = [1, 5, 10];

/// What the held-out set is called in the names of its metrics.
pub const TASK: &str = "validation";
const LOSS: &str = "validation_loss";

fn recall_name(of: &str, k: i64) -> String {
    format!("{of}_retrieval_recall@{k}")
}

/// Names of what [`evaluate`] measures, in order.
pub fn metric_names() -> impl Iterator<Item = String> {
    let recalls = ["image", "text"].into_iter().flat_map(|of| RECALL_AT.map(|k| recall_name(of, k)));
    std::iter::once(LOSS.to_owned()).chain(recalls)
}

/// `validation_loss` (mean over batches of the contrastive loss within each rank's batch, weighted with their sizes,
/// as open_clip has it) and `image_retrieval_recall@k`, `text_retrieval_recall@k` over the whole set. Features of the
/// whole set are held in memory: 4 bytes × embedding × 2 a pair.
///
/// # Errors
/// When shards are missing or damaged, or memory runs out.
pub fn evaluate(
    model: &Clip,
    setup: &EvalSetup<'_>,
    shards: &str,
    samples: &DatasetConfig,
) -> Result<Vec<Metric>, TrainError> {
    let _no_grad = tch::no_grad_guard();
    let mut feed = setup.feed(shards, samples)?;
    let objective = Contrastive::new(model.logit_scale());
    let (mut images, mut texts) = (Vec::new(), Vec::new());
    let mut loss = [0.0, 0.0];
    while let Some(batch) = feed.next()? {
        let views = batch.whole()?;
        let (image, text) = {
            let _autocast = setup.autocast()?;
            (model.encode_image(&views.pixels, Mode::Eval)?, model.encode_text(&views.tokens)?)
        };
        feed.prefetch();
        let (image, text) = (normalise(&image)?, normalise(&text)?);
        let good: Vec<i64> = batch.slots.iter().map(|slot| i64::from(slot.origin != Origin::Empty)).collect();
        let good = Tensor::f_from_slice(&good)?.f_to_device(setup.device)?;
        let rows = good.f_nonzero()?.f_squeeze_dim(-1)?;
        let count = rows.numel() as f64;
        if count > 0.0 {
            let (i, t) = (image.f_index_select(0, &rows)?, text.f_index_select(0, &rows)?);
            let value = number(&objective.on_features([&i, &t], 0..rows.numel() as i64)?.loss)?;
            loss = [loss[0] + value * count, loss[1] + count];
        }
        // Every rank gives a whole batch, so that shapes agree; empty slots are sorted out behind.
        let good = setup.ranks.gather(&good)?.f_nonzero()?.f_squeeze_dim(-1)?;
        for (features, all) in [(image, &mut images), (text, &mut texts)] {
            all.push(setup.ranks.gather(&features)?.f_index_select(0, &good)?);
        }
    }
    let skipped = setup.skipped("validation", &mut feed)?;
    setup.ranks.sum_numbers(&mut loss, setup.device)?;
    let (images, texts) = (Tensor::f_cat(&images, 0)?, Tensor::f_cat(&texts, 0)?);
    let num_samples = loss[1] as u64;
    let metric = |name: String, value| Metric { task: TASK.into(), name, value, num_samples };
    let mut metrics = vec![metric(LOSS.into(), loss[0] / loss[1].max(1.0))];
    for (kind, queries, candidates) in [("image", &texts, &images), ("text", &images, &texts)] {
        for (k, recall) in RECALL_AT.iter().zip(recall_at(queries, candidates, &RECALL_AT)?) {
            metrics.push(metric(recall_name(kind, *k), recall));
        }
    }
    metrics.extend(skipped);
    Ok(metrics)
}
