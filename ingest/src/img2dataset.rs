//! Options of img2dataset that mean nothing here, so that its command lines can be kept: what changes no output is
//! taken, with a line where the user would miss something; what would change the output is refused, with what to do.

use clap::Args;

use crate::config::OutputFormat;
use crate::spelling::{OrNone, or_none, truth, word};

/// The options. None of them is in the help: they are for command lines that exist.
#[derive(Debug, Args, Default)]
pub struct Img2datasetArgs {
    /// Whether to log to Weights & Biases
    #[arg(long, hide = true, value_parser = truth, num_args = 0..=1, default_missing_value = "true")]
    pub enable_wandb: Option<bool>,
    /// Where
    #[arg(long, hide = true)]
    pub wandb_project: Option<String>,
    /// How often a failed shard is tried again
    #[arg(long, hide = true)]
    pub max_shard_retry: Option<String>,
    /// What shares out the shards
    #[arg(long, hide = true, value_parser = distributor)]
    pub distributor: Option<Multiprocessing>,
    /// Shards a distributor is given at a time
    #[arg(long, hide = true)]
    pub subjob_size: Option<String>,
    /// Column with boxes to be blurred
    #[arg(long, hide = true, value_parser = bbox_col)]
    pub bbox_col: Option<OrNone<String>>,
}

/// The one distributor there is: this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiprocessing;

impl Img2datasetArgs {
    /// What a user who typed these would miss, a line each.
    pub fn notes(&self) -> Vec<&'static str> {
        let mut notes = Vec::new();
        if self.enable_wandb == Some(true) {
            notes
                .push("--enable-wandb: nothing goes to Weights & Biases; --metrics FILE writes the counters");
        }
        if self.max_shard_retry.is_some() {
            notes.push(
                "--max-shard-retry: shards are not counted off; what is missing after a run is made by giving the \
                 same command again",
            );
        }
        notes
    }
}

/// `multiprocessing`; the others by name.
fn distributor(typed: &str) -> Result<Multiprocessing, String> {
    match typed.trim() {
        "multiprocessing" | "None" => Ok(Multiprocessing),
        engine @ ("pyspark" | "ray" | "ray_distributor") => Err(format!(
            "{engine} is not built in: let Spark, Ray or Slurm start this command once per machine, each with its own \
             --shards FIRST..END, and leave --distributor out"
        )),
        _ => Err("only multiprocessing is there, which uses all cores; leave --distributor out".to_owned()),
    }
}

/// `None`. With a column, pictures that must be blurred would be kept as they are.
fn bbox_col(typed: &str) -> Result<OrNone<String>, String> {
    match or_none(typed)? {
        OrNone(None) => Ok(OrNone(None)),
        OrNone(Some(_)) => Err("nothing is blurred here; leave --bbox-col out, carry the column with \
                                --save-additional-columns and blur the finished shards"
            .to_owned()),
    }
}

/// An output format; img2dataset's others by name.
pub(crate) fn output_format(typed: &str) -> Result<OutputFormat, String> {
    match typed.trim() {
        "tfrecord" => Err(
            "tfrecord is not written: give webdataset (tars, which tf.data reads through a generator) or \
                           parquet"
                .to_owned(),
        ),
        "dummy" => Err(
            "dummy is not there: --dry-run says what would be done, and --prefix N fetches only the first \
                        rows, into a folder to be removed"
                .to_owned(),
        ),
        format => word(format),
    }
}
