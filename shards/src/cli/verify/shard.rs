//! One shard: its stats, table, images and indexes held against each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use super::super::image_table::{ReadOptions, each_sample};
use super::finding::{Findings, Place, Rule};
use super::table::{Expected, TableReport};
use super::{Depth, KeySet, Retries, images, table};
use crate::folder::{ShardFile, ShardFiles, beside};
use crate::index::{dali, energon};
use crate::json::parse_python_json;
use crate::printable::causes;
use crate::sample::IMAGE_EXTS;
use crate::stats::{MAX_STATUS_MESSAGES, ShardStats};
use crate::status::Status;
use crate::table::check_version_beside;
use crate::tar::{
    BLOCK_BYTES, BadSamples, MAX_WRITTEN_NAME_BYTES, MappedTar, RECORD_BYTES, SampleSpan, TarOptions,
    Unsorted,
};

/// Checks a finished shard; returns the samples in its tar.
pub(super) fn check_shard(
    files: &ShardFiles,
    depth: Depth,
    findings: &mut Findings,
    keys: &mut KeySet,
    retries: &mut Retries,
) -> Option<u64> {
    let stats_path = files.get(ShardFile::Stats)?;
    let stats = match ShardStats::read(stats_path) {
        Ok(stats) => Some(stats),
        Err(error) => {
            findings.add_error(Rule::StatsReadable, stats_path, Place::File, error);
            None
        }
    };
    let report = match files.get(ShardFile::Table) {
        None => {
            findings.add(Rule::Complete, stats_path, Place::File, "the shard is done but has no table");
            None
        }
        Some(path) => table::check(files, path, depth, findings, retries),
    };
    if let (Some(stats), Some(report)) = (&stats, &report) {
        for problem in stats_problems(stats, report) {
            findings.add(Rule::StatsMatchTable, stats_path, Place::File, problem);
        }
    }
    let mut num_samples = None;
    if let Some(path) = files.get(ShardFile::Tar) {
        num_samples = check_tar(path, report.as_ref(), depth, findings, keys);
    } else if let Some(dir) = files.get(ShardFile::Files) {
        if let Some(report) = &report {
            check_files(dir, report, depth, findings);
        }
    } else if report.as_ref().is_some_and(|r| !r.has_images) && files.get(ShardFile::TfRecord).is_none() {
        let problem = "the shard is done but has neither tar, nor files, nor images in its table";
        findings.add(Rule::Complete, stats_path, Place::File, problem);
    }
    num_samples
}

/// Checks a tar by itself; returns its samples. Of a table beside it only the version is looked at, which says whether the
/// tar is read as it was meant.
pub(super) fn check_bare_tar(
    path: &Path,
    depth: Depth,
    findings: &mut Findings,
    keys: &mut KeySet,
) -> Option<u64> {
    if let Err(error) = check_version_beside(path) {
        findings.add_error(Rule::Version, &beside(path, ShardFile::Table), Place::File, error);
    }
    check_tar(path, None, depth, findings, keys)
}

/// Checks a Parquet shard that `convert` made from a tar without a table, which has no stats and no columns but its
/// members': what a tar alone can show.
pub(super) fn check_members(path: &Path, depth: Depth, findings: &mut Findings, keys: &mut KeySet) {
    let number = keys.start(path);
    let mut seen = HashSet::new();
    let read = each_sample(path, &ReadOptions::default(), |sample| {
        let mut problems = Vec::new();
        if !seen.insert(sample.key.clone()) {
            problems.push((Rule::UniqueKey, "the key comes twice".to_owned()));
        } else if let Some(other) = keys.insert(&sample.key, number) {
            problems.push((Rule::UniqueKey, format!("the key is in {} too", other.display())));
        }
        let image = sample.image().map(|member| (member.ext.as_str(), member.data.as_slice()));
        problems.extend(bare_problems(&sample.key, image, sample.metadata(), depth));
        for (rule, problem) in problems {
            findings.add(rule, path, Place::Key(sample.key.clone()), problem);
        }
        Ok(ControlFlow::Continue(()))
    });
    if let Err(error) = read {
        findings.add_error(Rule::TableReadable, path, Place::File, causes(&*error));
    }
}

fn stats_problems(stats: &ShardStats, report: &TableReport) -> Vec<String> {
    let mut problems = Vec::new();
    let of = |status| report.by_status.get(&status).copied().unwrap_or(0);
    for (name, says, has) in [
        ("count", stats.count, report.num_rows),
        ("successes", stats.successes, of(Status::Success)),
        ("failed_to_download", stats.failed_to_download, of(Status::FailedToDownload)),
        ("failed_to_resize", stats.failed_to_resize, of(Status::FailedToResize)),
    ] {
        if says != has {
            problems.push(format!("`{name}` is {says}, the table has {has}"));
        }
    }
    // Beyond its bound the dictionary has dropped the rare messages.
    if stats.status_dict.len() < MAX_STATUS_MESSAGES / 2 {
        let counts: BTreeMap<&str, u64> = stats.status_dict.most_common().into_iter().collect();
        let table: BTreeMap<&str, u64> = report.by_message.iter().map(|(m, n)| (m.as_str(), *n)).collect();
        problems.extend(first_difference("status_dict", &counts, &table));
    }
    if !stats.failure_classes.is_empty() || report.is_ours {
        let words = |map: &BTreeMap<_, u64>| {
            map.iter()
                .map(|(c, n): (&crate::status::FailureClass, &u64)| (c.as_str(), *n))
                .collect::<BTreeMap<_, _>>()
        };
        let (says, has) = (words(&stats.failure_classes), words(&report.by_class));
        problems.extend(first_difference("failure_classes", &says, &has));
    }
    problems
}

fn first_difference(name: &str, says: &BTreeMap<&str, u64>, has: &BTreeMap<&str, u64>) -> Option<String> {
    let mut words: Vec<&str> = says.keys().chain(has.keys()).copied().collect();
    words.sort_unstable();
    let count = |map: &BTreeMap<&str, u64>, word: &str| map.get(word).copied().unwrap_or(0);
    let word = words.into_iter().find(|word| count(says, word) != count(has, word))?;
    Some(format!("`{name}` counts {} of `{word}`, the table has {}", count(says, word), count(has, word)))
}

fn check_tar(
    path: &Path,
    report: Option<&TableReport>,
    depth: Depth,
    findings: &mut Findings,
    keys: &mut KeySet,
) -> Option<u64> {
    // Whatever differs from the format is a finding of its sample, not the end of the look at the tar.
    let options =
        TarOptions { unsorted: Unsorted::Split, bad_samples: BadSamples::Keep, ..TarOptions::default() };
    let tar = match MappedTar::open_with(path, &options) {
        Ok(tar) => tar,
        Err(error) => {
            findings.add(Rule::TarReadable, path, Place::Offset(error.offset), &error.rule);
            return None;
        }
    };
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(tar.len());
    let tar_number = keys.start(path);
    let is_ours = report.is_some_and(|r| r.is_ours);
    for sample in tar.iter() {
        let span = sample.span();
        let mut problems: Vec<(Rule, String)> = Vec::new();
        problems.extend(name_problems(&span).into_iter().map(|p| (Rule::MemberName, p)));
        problems.extend(member_problems(&span, report).into_iter().map(|p| (Rule::Members, p)));
        if let Some(earlier) = seen.insert(span.key(), span.number()) {
            let problem =
                format!("the key comes twice, as samples {earlier} and {} of the tar", span.number());
            problems.push((Rule::UniqueKey, problem));
        } else if !report.is_some_and(|r| r.keys_are_own) {
            let other = keys.insert(span.key(), tar_number);
            problems
                .extend(other.map(|tar| (Rule::UniqueKey, format!("the key is in {} too", tar.display()))));
        }
        if report.is_none() {
            problems.extend(bare_problems(sample.key(), sample.image(), sample.metadata(), depth));
        }
        if is_ours {
            problems.extend(header_problem(&tar, &span).map(|p| (Rule::PlainTar, p)));
        }
        for (rule, problem) in problems {
            findings.add(rule, path, Place::Sample(span.key().to_owned(), span.start()), problem);
        }
    }
    if is_ours && !(tar.bytes().len() as u64).is_multiple_of(RECORD_BYTES) {
        findings.add(
            Rule::PlainTar,
            path,
            Place::File,
            format!("its length is no multiple of {RECORD_BYTES}"),
        );
    }
    if let Some(report) = report.filter(|r| !r.has_images) {
        check_samples(path, &tar, report, &seen, depth, findings);
    }
    check_indexes(path, &tar, findings);
    Some(tar.len() as u64)
}

/// Every success of the table against its sample.
fn check_samples(
    path: &Path,
    tar: &MappedTar,
    report: &TableReport,
    seen: &HashMap<&str, usize>,
    depth: Depth,
    findings: &mut Findings,
) {
    let mut last = None;
    for expected in &report.expected {
        let Some(sample) = seen.get(expected.key.as_str()).and_then(|&at| tar.sample(at)) else {
            let problem = "a success of the table that is not in the tar";
            findings.add(Rule::ImagesMatchTable, path, Place::Key(expected.key.clone()), problem);
            continue;
        };
        let place = || Place::Sample(expected.key.clone(), sample.span().start());
        let number = sample.span().number();
        if last.is_some_and(|last| number < last) {
            findings.add(Rule::ImagesMatchTable, path, place(), "stands in another order than in the table");
        }
        last = Some(number);
        let get = |ext: &str| sample.get(ext);
        for (rule, problem) in content_problems(get, sample.image(), expected, depth) {
            findings.add(rule, path, place(), problem);
        }
    }
    let wanted: HashSet<&str> = report.expected.iter().map(|e| e.key.as_str()).collect();
    for sample in tar.iter().filter(|s| !wanted.contains(s.key())) {
        let problem = "no success of that key in the table";
        let place = Place::Sample(sample.key().to_owned(), sample.span().start());
        findings.add(Rule::ImagesMatchTable, path, place, problem);
    }
}

/// A success's members against its row.
fn content_problems<'a>(
    get: impl Fn(&str) -> Option<&'a [u8]>,
    image: Option<(&str, &[u8])>,
    expected: &Expected,
    depth: Depth,
) -> Vec<(Rule, String)> {
    let mut problems = Vec::new();
    if let Some(problem) = get("json").and_then(|json| json_problem(json, &expected.json)) {
        problems.push((Rule::Json, problem));
    }
    if let (Some(text), Some(caption)) = (get("txt"), &expected.text)
        && text != caption.as_bytes()
    {
        problems.push((Rule::Text, "`txt` is not the table's caption".to_owned()));
    }
    if let Some((ext, bytes)) = image {
        problems.extend(images::problems(bytes, Some(ext), expected, depth));
    }
    problems
}

/// How a `json` member differs from what the row gives.
fn json_problem(found: &[u8], expected: &str) -> Option<String> {
    if found == expected.as_bytes() {
        return None;
    }
    let Some(found) = std::str::from_utf8(found).ok().and_then(|text| parse_python_json(text).ok()) else {
        return Some("`json` is not JSON".to_owned());
    };
    let Ok(expected) = parse_python_json(expected) else { return None };
    let (Some(found), Some(expected)) = (found.as_object(), expected.as_object()) else {
        return Some("`json` is not an object".to_owned());
    };
    for (name, value) in expected {
        match found.get(name) {
            None => return Some(format!("`json` has no field `{name}`")),
            Some(other) if other != value => {
                return Some(format!("`json` says {other} in `{name}`, the table {value}"));
            }
            Some(_) => {}
        }
    }
    if let Some(name) = found.keys().find(|name| !expected.contains_key(*name)) {
        return Some(format!("`json` has a field `{name}`, the table has no such column"));
    }
    Some(
        "`json` has the table's values, but not in its order or not as `json.dumps(indent=4)` writes them"
            .to_owned(),
    )
}

/// What a sample without a table shows to be wrong by itself: image and `json`.
fn bare_problems(
    key: &str,
    image: Option<(&str, &[u8])>,
    json: Option<&[u8]>,
    depth: Depth,
) -> Vec<(Rule, String)> {
    let mut problems = Vec::new();
    if let Some((ext, bytes)) = image.filter(|(_, bytes)| depth.images || bytes.is_empty()) {
        problems.extend(images::image_problem(bytes, Some(ext), None).map(|p| (Rule::Image, p)));
    }
    let Some(json) = json else { return problems };
    let parsed = std::str::from_utf8(json).ok().and_then(|text| parse_python_json(text).ok());
    let base = key.rsplit('/').next().unwrap_or_default();
    match parsed.as_ref().map(|value| value.get("key").and_then(|k| k.as_str())) {
        None => problems.push((Rule::Json, "`json` is not JSON".to_owned())),
        Some(Some(said)) if said != base => {
            problems.push((Rule::Json, format!("`json` says its key is {said}")))
        }
        _ => {}
    }
    problems
}

fn name_problems(span: &SampleSpan<'_>) -> Vec<String> {
    let mut problems: Vec<String> = span.problem().map(ToString::to_string).into_iter().collect();
    let links = span.components().filter(|component| component.is_link && span.problem().is_none());
    problems
        .extend(links.map(|link| format!("`{}` is a link; webdataset and others pass over it", link.name)));
    if span.key().contains('/') {
        problems.push("the name has a folder".to_owned());
    }
    for component in span.components() {
        let name = component.name;
        if name.len() > MAX_WRITTEN_NAME_BYTES {
            problems.push(format!("a name of {} bytes, more than {MAX_WRITTEN_NAME_BYTES}", name.len()));
        }
        if !name.ends_with(component.ext) {
            problems.push(format!("`{name}`: the extension is not lower-case"));
        }
        if component.ext.contains('.') {
            problems.push(format!("`{name}`: more than one dot; readers disagree on where the key ends"));
        }
    }
    problems
}

fn member_problems(span: &SampleSpan<'_>, report: Option<&TableReport>) -> Vec<String> {
    let mut problems = Vec::new();
    let exts: Vec<&str> = span.components().map(|c| c.ext).collect();
    match exts.iter().filter(|ext| IMAGE_EXTS.contains(ext)).count() {
        0 => problems.push(format!("no image, only {}", exts.join(", "))),
        1 => {}
        _ => problems.push(format!("several images: {}", exts.join(", "))),
    }
    if !exts.is_sorted() {
        problems.push(format!("members are not in the order of their extensions: {}", exts.join(", ")));
    }
    if let Some(report) = report {
        if !exts.contains(&"json") {
            problems.push("no `json`".to_owned());
        }
        match (report.has_caption, exts.contains(&"txt")) {
            (true, false) => problems.push("no `txt`, although the table has captions".to_owned()),
            (false, true) => problems.push("a `txt`, although the table has no captions".to_owned()),
            _ => {}
        }
    }
    problems
}

/// What is not plain ustar with our fixed fields about a sample's headers.
fn header_problem(tar: &MappedTar, span: &SampleSpan<'_>) -> Option<String> {
    let plain: u64 = span.components().map(|c| BLOCK_BYTES + c.size.next_multiple_of(BLOCK_BYTES)).sum();
    if span.end() - span.start() != plain {
        return Some("extension headers before its members".to_owned());
    }
    for component in span.components() {
        let from = usize::try_from(component.offset.checked_sub(BLOCK_BYTES)?).ok()?;
        let header = tar.bytes().get(from..from + BLOCK_BYTES as usize)?;
        for (field, range, value) in [
            ("mode", 100..108, &b"0000444\0"[..]),
            ("uid", 108..116, b"0000000\0"),
            ("gid", 116..124, b"0000000\0"),
            ("mtime", 136..148, b"00000000000\0"),
            ("magic", 257..263, b"ustar\0"),
        ] {
            if header.get(range).is_none_or(|bytes| bytes != value) {
                return Some(format!("`{}`: the header's {field} is not the fixed one", component.name));
            }
        }
    }
    None
}

fn check_indexes(tar_path: &Path, tar: &MappedTar, findings: &mut Findings) {
    let path = dali::path_for(tar_path);
    if path.is_file() {
        let problem = match dali::read(&path) {
            Err(error) => {
                findings.add_error(Rule::DaliIndex, &path, Place::File, error);
                None
            }
            Ok(lines) if lines.promised() != tar.len() => {
                Some(format!("lists {} samples, the tar has {}", lines.promised(), tar.len()))
            }
            Ok(mut lines) => {
                let differs = tar.index().iter().zip(lines.by_ref()).find_map(|(span, line)| {
                    let line = match line {
                        Ok(line) => line,
                        Err(error) => return Some(error.to_string()),
                    };
                    let same = line.len() == span.components().len()
                        && line
                            .iter()
                            .zip(span.components())
                            .all(|(l, c)| (l.offset, l.size) == (c.offset, c.size) && l.ext == c.ext);
                    (!same).then(|| format!("line {} is not sample {}", span.number() + 2, span.key()))
                });
                // One line too many or too few is an error that comes last.
                differs.or_else(|| lines.find_map(|line| line.err().map(|error| error.to_string())))
            }
        };
        if let Some(problem) = problem {
            findings.add(Rule::DaliIndex, &path, Place::File, problem);
        }
    }
    let path = energon::path_for(tar_path);
    if path.is_file() {
        let wanted = tar.index().iter().map(|s| s.start()).chain([tar.index().end()]);
        let problem = match energon::read(&path) {
            Err(error) => {
                findings.add_error(Rule::EnergonIndex, &path, Place::File, error);
                None
            }
            Ok(offsets) if offsets.len() != tar.len() + 1 => {
                Some(format!("lists {} samples, the tar has {}", offsets.len() - 1, tar.len()))
            }
            Ok(offsets) => offsets
                .iter()
                .zip(wanted)
                .position(|(a, b)| *a != b)
                .map(|at| format!("offset {at} is not that of sample {at}")),
        };
        if let Some(problem) = problem {
            findings.add(Rule::EnergonIndex, &path, Place::File, problem);
        }
    }
}

/// Output format `files`: a folder of loose members.
fn check_files(dir: &Path, report: &TableReport, depth: Depth, findings: &mut Findings) {
    let mut unread: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let listed = fs::read_dir(dir).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    match listed {
        Err(error) => {
            return findings.add(Rule::Complete, dir, Place::File, format!("cannot be listed: {error}"));
        }
        Ok(entries) => {
            for name in entries.into_iter().filter_map(|e| e.file_name().into_string().ok()) {
                let (key, ext) = name.split_once('.').unwrap_or((&name, ""));
                unread.entry(key.to_owned()).or_default().push(ext.to_owned());
            }
        }
    }
    for expected in &report.expected {
        let place = || Place::Key(expected.key.clone());
        let Some(exts) = unread.remove(&expected.key) else {
            findings.add(
                Rule::ImagesMatchTable,
                dir,
                place(),
                "a success of the table that is not in the folder",
            );
            continue;
        };
        let mut members: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for ext in &exts {
            let file = dir.join(format!("{}.{ext}", expected.key));
            match fs::read(&file) {
                Ok(bytes) => _ = members.insert(ext, bytes),
                Err(error) => {
                    findings.add(Rule::Members, dir, place(), format!("`{ext}` cannot be read: {error}"))
                }
            }
        }
        let wanted: &[&str] = if report.has_caption { &["json", "txt"] } else { &["json"] };
        for ext in wanted.iter().filter(|ext| !members.contains_key(**ext)) {
            findings.add(Rule::Members, dir, place(), format!("no `{ext}`"));
        }
        let image = IMAGE_EXTS.iter().find_map(|ext| members.get(ext).map(|bytes| (*ext, bytes.as_slice())));
        if image.is_none() {
            findings.add(Rule::Members, dir, place(), "no image");
        }
        let get = |ext: &str| members.get(ext).map(Vec::as_slice);
        for (rule, problem) in content_problems(get, image, expected, depth) {
            findings.add(rule, dir, place(), problem);
        }
    }
    for key in unread.into_keys() {
        findings.add(Rule::ImagesMatchTable, dir, Place::Key(key), "no success of that key in the table");
    }
}
