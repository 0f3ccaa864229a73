//! Shards to a CLIP model: loader, model, loss, step, checkpoint, evaluation.
