//! Result rows and shards to statistics, figures and a report. Nothing here touches libtorch or the
//! network, and everything rendered is a pure function of a result struct.
//!
//! The flow of `transfer`: `load` reads any result files into one protocol's rows → `transfer` picks one value per
//! cell by a named rule and makes the figures → `claims` holds the paper's statements against them, `audit` looks for
//! defects in the rows themselves → `report` puts sections on a page. `chart` draws, `stats` computes, `study` knows
//! the names of the paper. The other half reads shards and source tables: `captions` fills the same [`report::Section`],
//! `data` adds what became of each source's rows and brings both onto the page, `gallery` draws contact sheets. `command`
//! is a function a command.
//!
#![doc = include_str!("../README.md")]

pub mod args;
pub mod audit;
pub mod captions;
pub mod chart;
pub mod claims;
pub mod command;
pub mod data;
pub mod gallery;
pub mod load;
pub mod output;
pub mod report;
pub mod stats;
pub mod study;
pub mod transfer;
