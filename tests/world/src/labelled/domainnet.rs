//! DomainNet: a zip and two lists beside it. The original clipart archive is not the one the lists fit.

use super::class::Spelling;
use super::package::Pack;
use super::{Dataset, Draft};
use crate::encode::Encoding;
use crate::error::Result;

/// Every so many listed pictures the original clipart archive lacks one.
const LOST_EVERY: usize = 7;

pub(super) fn make(draft: &mut Draft<'_>, domain: &str) -> Result<()> {
    draft.name_classes(draft.num_classes(345), Spelling::DomainNet);
    let archive = draft.package(&format!("{domain}.zip"), Pack::Zip);
    // Cleaned sets have their lists below `domainnet/txt`, the photographs here right beside.
    let folder = if domain == "real" { "" } else { "domainnet/txt/" };
    let mut lists = [String::new(), String::new()];
    let mut listed = 0;
    for label in 0..draft.classes.len() {
        let class = draft.classes[label].name.clone();
        let counts = match domain {
            "real" => [draft.count(label, 120_906), draft.count(label, 52_041)],
            _ => [draft.count(label, 33_525), draft.count(label, 14_604)],
        };
        for number in 0..2 * counts[0].max(counts[1]) {
            if number / 2 >= counts[number % 2] {
                continue;
            }
            let part = ["train", "test"][number % 2];
            let suffix = if number == 1 && label % 5 == 0 && !draft.config.real_size { "png" } else { "jpg" };
            let name = format!("{class}/{domain}_{:03}_{:06}.{suffix}", label + 1, number + 1);
            lists[number % 2].push_str(&format!("{domain}/{name} {label}\n"));
            listed += 1;
            if draft.config.dataset == Dataset::ClipartOriginal && listed % LOST_EVERY == 0 {
                draft.truth.missing.push(name);
                continue;
            }
            let bytes = match suffix {
                "png" => Encoding::Png.encode(&draft.plan(label, part, number, [48, 96]).pixels())?,
                _ => draft.jpeg(label, part, number)?,
            };
            draft.expect(part, &name, label, &bytes);
            draft.put(archive, format!("{domain}/{name}"), bytes);
        }
    }
    draft.litter(archive, domain);
    let beside = draft.package("lists", Pack::Loose);
    for (part, list) in ["train", "test"].into_iter().zip(lists) {
        draft.put(beside, format!("{folder}{domain}_{part}.txt"), list);
    }
    Ok(())
}
