//! Result rows (and, later, shards) to statistics, figures and a report. Nothing here touches libtorch or the
//! network, and everything rendered is a pure function of a result struct.
//!
//! The flow of `transfer`: `load` reads any result files into one protocol's rows → `transfer` picks one value per
//! cell by a named rule and makes the figures → `claims` holds the paper's statements against them, `audit` looks for
//! defects in the rows themselves → `report` puts sections on a page. `chart` draws, `stats` computes, `study` knows
//! the names of the paper. A further half (captions) fills the same [`report::Section`].

pub mod args;
pub mod audit;
pub mod chart;
pub mod claims;
pub mod load;
pub mod output;
pub mod report;
pub mod stats;
pub mod study;
pub mod transfer;
