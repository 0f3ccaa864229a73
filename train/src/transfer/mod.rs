//! Transfer: what a pretrained image tower is worth on labelled tasks.

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
pub mod scores;
pub mod source;
pub mod stream;
pub mod sweep;
pub mod tune;
