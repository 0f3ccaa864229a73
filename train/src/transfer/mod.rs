//! Transfer: what a pretrained image tower is worth on labelled tasks. Comes behind pretraining and before the reports,
//! which read its result rows.
//!
//! In flow order: [`config`] and [`protocol`] say what a run is, [`draw`] which images it takes of a
//! [dataset](pairmill_datasets), [`pictures`] decodes them once; [`stream`] and [`evaluation`] make batches of them;
//! [`classifier`] learns by [`tune`] or [`probe`], [`cohort`] trains runs side by side, [`record`] keeps what came of it;
//! [`sweep`] does whole grids.

pub mod args;
pub mod classifier;
pub mod cohort;
pub mod config;
pub mod crew;
pub mod draw;
pub mod evaluation;
pub mod keeper;
pub mod member;
pub mod pictures;
pub mod probe;
pub mod protocol;
pub mod record;
pub mod source;
pub mod stream;
pub mod sweep;
pub mod tune;
