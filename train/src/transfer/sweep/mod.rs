//! Grids of runs: [`config`] is what the user writes, [`plan`] the runs and what is done together, [`datasets`] what they were
//! made on, [`estimate`] what it
//! will take, [`run`] does it, [`progress`] shows it, [`summary`] puts the results together.

pub mod config;
pub mod datasets;
pub mod estimate;
mod frozen;
mod heads;
pub mod plan;
pub mod progress;
pub mod run;
pub mod summary;

pub use config::SweepConfig;
pub use plan::{Part, Plan};
pub use run::Outcome;
