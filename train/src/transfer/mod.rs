//! Transfer: what a pretrained image tower is worth on labelled tasks.

pub mod classifier;
pub mod probe;
pub mod scores;
pub mod tune;
