//! Labelled datasets to transfer to: what lies in an archive as it is distributed, to examples with labels, splits and
//! pictures. Knows no libtorch.
//!
//! In flow order: [`DatasetConfig`] says which dataset and where; one file a dataset reads its lists and labels, by way
//! of `tree`, for which folder, zip and tar.gz are one; [`LabelledSet`] is what comes of it; [`shots`] draws from it;
//! [`prompt_name`] makes its class names words; [`LabelledSet::visit`] hands out pictures in one pass. Beside that flow,
//! [`catalogue`] knows where datasets are handed out, [`fetch`] gets them, and [`check`](mod@check) says what lies in a folder.
//! Nothing is fetched that was not asked for.
//!
//! Splits and counts are those of the datasets' own pages and, where the study's differ, the reader's paragraph says so.

mod assembly;
mod caltech101;
mod camera_traps;
mod cassava;
pub mod catalogue;
pub mod check;
mod cifar100;
mod class_folders;
mod config;
mod csv;
mod domainnet;
mod dtd;
mod error;
mod eurosat;
pub mod fetch;
mod folder;
pub mod list;
mod pets;
pub mod prompt_name;
mod set;
mod shards;
pub mod shots;
mod tree;

pub use config::{Counts, DatasetConfig, DatasetKind, Expected};
pub use error::DatasetError;
pub use set::{Example, LabelledSet, Part, Picture};
