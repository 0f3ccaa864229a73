//! Releases: each source as its authors hand it out, files, names and quirks (sources.md), where [`crate::table`]
//! has the sound core of the same rows. Beside the files lie `expected.json`, the number of rows with each [`Quirk`],
//! and `truth.jsonl`, what a reader must make of each row; so a test knows the exact counts without a reader of its
//! own. One file here per source, one shape: rows of the world in, the source's files and an [`Account`] out.

mod account;
mod conceptual;
mod imagenet;
mod laion;
mod quirk;
mod redcaps;
mod shutterstock;
mod wit;
mod yfcc;

use std::fs;
use std::path::Path;

pub use account::ReleaseSummary;
pub use quirk::Quirk;

use account::Account;

use crate::error::{Error, Result};
use crate::source::Source;
use crate::table::{Row, TableConfig};
use crate::words::word_enum;
use crate::world::World;

word_enum! {
    /// What is released.
    Release, "release" {
        Laion400m = "laion400m",
        Laion2b = "laion2b",
        Laion2bMulti = "laion2b-multi",
        LaionJoined = "laion-joined",
        LaionMd5 = "laion-md5",
        Relaion = "relaion",
        RedCaps = "redcaps",
        Cc3m = "cc3m",
        Cc12m = "cc12m",
        Wit = "wit",
        Yfcc = "yfcc",
        Yfcc23 = "yfcc23",
        Imagenet = "imagenet",
        ImagenetKaggle = "imagenet-kaggle",
        Shutterstock = "shutterstock",
        ShutterstockCsv = "shutterstock-csv",
        ShutterstockJsonl = "shutterstock-jsonl",
    }
}

/// Which release to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseConfig {
    /// What is released.
    pub release: Release,
    /// Rows; images for ImageNet.
    pub rows: u64,
    /// Where the world is served, without a slash at the end. URLs whose rule depends on the real host keep that.
    pub base_url: String,
}

impl ReleaseConfig {
    /// The rows of `source` that the release is made of.
    fn rows<'a>(&self, world: &'a World, source: Source) -> impl Iterator<Item = Row> + use<'a> {
        let config = TableConfig::new(source, self.rows, self.base_url.clone());
        (0..self.rows).map(move |index| world.row(&config, index))
    }
}

impl World {
    /// Writes a release into the folder `out`, which is created, with `expected.json` and `truth.jsonl`.
    ///
    /// # Errors
    /// When an encoder or the disk refuses.
    pub fn write_release(&self, config: &ReleaseConfig, out: &Path) -> Result<ReleaseSummary> {
        fs::create_dir_all(out).map_err(Error::io(out))?;
        let mut account = Account::open(out)?;
        match config.release {
            Release::Laion400m
            | Release::Laion2b
            | Release::Laion2bMulti
            | Release::LaionJoined
            | Release::LaionMd5
            | Release::Relaion => laion::write(self, config, out, &mut account)?,
            Release::RedCaps => redcaps::write(self, config, out, &mut account)?,
            Release::Cc3m | Release::Cc12m => conceptual::write(self, config, out, &mut account)?,
            Release::Wit => wit::write(self, config, out, &mut account)?,
            Release::Imagenet | Release::ImagenetKaggle => imagenet::write(self, config, out, &mut account)?,
            Release::Yfcc | Release::Yfcc23 => yfcc::write(self, config, out, &mut account)?,
            Release::Shutterstock | Release::ShutterstockCsv | Release::ShutterstockJsonl => {
                shutterstock::write(self, config, out, &mut account)?;
            }
        }
        account.finish()
    }
}

/// The headerless sources cannot hold tabs or line ends and know no quoting.
fn one_line(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}
