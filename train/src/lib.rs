//! Shards to a CLIP model: model, objective, optimiser, checkpoints, evaluation, on libtorch.
//!
//! The only crate that knows libtorch; what tch lacks of it lies behind [`torch`].

pub mod checkpoint;
pub mod log;
pub mod optim;
pub mod torch;
pub mod weights;
