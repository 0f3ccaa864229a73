//! Shards to a CLIP model: model, objective, optimiser, checkpoints, evaluation, on libtorch.
//!
//! In flow order: [`config`] says what a run is, [`trainer`] runs it: [`feed`] takes batches of the loader to the device,
//! [`model`] turns them into features, [`objective`] into a loss, [`optim`] into new weights; [`eval`] measures,
//! [`mod@checkpoint`] keeps, [`log`] tells. [`launch`] and [`ranks`] make several processes one run.
//!
//! The only crate that knows libtorch; what tch lacks of it lies behind [`torch`].
//!
#![doc = include_str!("../README.md")]

pub mod args;
pub mod checkpoint;
pub mod config;
pub mod datasets;
pub mod error;
pub mod eval;
pub mod feed;
pub mod launch;
pub mod log;
pub mod model;
mod numbers;
pub mod objective;
pub mod optim;
pub mod ranks;
pub mod skipped;
pub mod torch;
pub mod trainer;
pub mod transfer;
pub mod weights;
