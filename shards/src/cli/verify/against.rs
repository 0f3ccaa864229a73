//! What a given reader would choke on, in words. The facts about the readers are peers' own code and documents, as
//! of webdataset 1.0, open_clip 3.3, datasets 4, DALI 2.4 and Megatron-Energon in 2026.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::Value;

use super::KeySet;
use super::finding::{Findings, Place};
use crate::index::{dali, energon, sizes};
use crate::json::parse_python_json;
use crate::sample::IMAGE_EXTS;
use crate::tar::{BadSamples, EndMarker, MappedSample, MappedTar, TarOptions, Unsorted};

/// Samples from which Hugging Face datasets infers its columns.
const HF_INFERRED_SAMPLES: usize = 5;
/// Shards that Energon's documents advise not to exceed.
const ENERGON_MAX_SHARDS: usize = 10_000;
/// open_clip's `--max-image-pixels`.
const OPEN_CLIP_MAX_PIXELS: u64 = 25_000_000;

/// A tool that reads shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reader {
    /// The webdataset Python package
    Webdataset,
    /// open_clip's trainer
    OpenClip,
    /// Hugging Face datasets
    Hf,
    /// NVIDIA DALI's webdataset reader
    Dali,
    /// NVIDIA Megatron-Energon
    Energon,
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Self::Webdataset => "webdataset",
            Self::OpenClip => "open-clip",
            Self::Hf => "hf",
            Self::Dali => "dali",
            Self::Energon => "energon",
        }
    }
}

/// What one tar's samples are like.
#[derive(Debug, Default)]
struct Survey {
    num_samples: u64,
    without_image: u64,
    without_text: u64,
    upper_case: u64,
    several_dots: u64,
    too_many_pixels: u64,
    blank_in_name: u64,
    member_sets: BTreeSet<String>,
}

impl Survey {
    fn of(tar: &MappedTar) -> Self {
        let mut survey = Self { num_samples: tar.len() as u64, ..Self::default() };
        for sample in tar.iter() {
            survey.add(&sample);
        }
        survey
    }

    fn add(&mut self, sample: &MappedSample<'_>) {
        match sample.image() {
            None => self.without_image += 1,
            Some((_, bytes)) => {
                let pixels =
                    pairmill_pixels::probe(bytes).map_or(0, |h| u64::from(h.width) * u64::from(h.height));
                self.too_many_pixels += u64::from(pixels > OPEN_CLIP_MAX_PIXELS);
            }
        }
        // A blank one is no obstacle: open_clip 3.3 trains on it as an empty text.
        self.without_text += u64::from(sample.caption().is_none());
        let span = sample.span();
        let any =
            |test: &dyn Fn(&str, &str) -> bool| u64::from(span.components().any(|c| test(c.name, c.ext)));
        self.upper_case += any(&|name, ext| !name.ends_with(ext));
        self.several_dots += any(&|_, ext| ext.contains('.'));
        self.blank_in_name += any(&|name, _| name.contains(char::is_whitespace));
        // Bounded: a hostile tar may have as many sets as samples.
        if self.member_sets.len() < 100 {
            self.member_sets.insert(member_set(sample));
        }
    }
}

fn member_set(sample: &MappedSample<'_>) -> String {
    let mut exts: Vec<&str> = sample.members().map(|(ext, _)| ext).collect();
    exts.sort_unstable();
    exts.join(" ")
}

/// Adds what `reader` would choke on in `tars`. Tars that cannot be read are left to the rules.
pub(super) fn check(reader: Reader, tars: &[PathBuf], keys: &KeySet, findings: &mut Findings) {
    let name = reader.name();
    let mut features = None;
    // As other readers see a tar.
    let (end_marker, unsorted) = (EndMarker::Optional, Unsorted::Split);
    let options = TarOptions { end_marker, unsorted, bad_samples: BadSamples::Keep, scratch: None };
    for path in tars {
        let Ok(tar) = MappedTar::open_with(path, &options) else { continue };
        let survey = Survey::of(&tar);
        for problem in tar_problems(reader, path, &survey) {
            findings.warn(name, path, Place::File, problem);
        }
        if reader == Reader::Hf {
            let features = features.get_or_insert_with(|| HfFeatures::infer(path, &tar, findings));
            features.check(path, &tar, findings);
        }
    }
    let folder = tars.first().and_then(|tar| tar.parent()).unwrap_or(Path::new(""));
    match reader {
        Reader::OpenClip => open_clip_sizes(folder, tars, findings),
        Reader::Energon => {
            if keys.num_duplicates > 0 {
                let problem = format!(
                    "{} keys are in more than one tar; `energon prepare` refuses the dataset",
                    keys.num_duplicates
                );
                findings.warn(name, folder, Place::File, problem);
            }
            if tars.len() > ENERGON_MAX_SHARDS {
                let problem =
                    format!("{} shards; its documents advise fewer than {ENERGON_MAX_SHARDS}", tars.len());
                findings.warn(name, folder, Place::File, problem);
            }
        }
        _ => {}
    }
}

fn tar_problems(reader: Reader, path: &Path, survey: &Survey) -> Vec<String> {
    let mut problems = Vec::new();
    let mut say = |n: u64, problem: String| {
        if n > 0 {
            problems.push(problem);
        }
    };
    let of = |n: u64| format!("{n} of {} samples", survey.num_samples);
    let is_empty = u64::from(survey.num_samples == 0);
    let dots = || {
        format!(
            "{} have more than one dot in a name: the key ends at the first, so the image is not called `jpg`",
            of(survey.several_dots)
        )
    };
    match reader {
        Reader::Webdataset => {
            say(
                is_empty,
                "no sample: a worker that gets only such shards stops with `No samples found in dataset`"
                    .to_owned(),
            );
            say(survey.several_dots, dots());
            say(
                survey.upper_case,
                format!("{} have upper-case extensions: ask for them in lower case", of(survey.upper_case)),
            );
            say(
                survey.without_image,
                format!("{} have no image called {}", of(survey.without_image), IMAGE_EXTS.join(", ")),
            );
        }
        Reader::OpenClip => {
            let unusable = survey.without_image.max(survey.without_text);
            let all = survey.num_samples > 0 && unusable == survey.num_samples;
            say(
                u64::from(all),
                "every sample is dropped: training would wait for the first batch forever, without a message"
                    .to_owned(),
            );
            say(
                survey.without_image,
                format!(
                    "{} have no {} and are dropped; name the image's extension with --image-key",
                    of(survey.without_image),
                    IMAGE_EXTS.join(", ")
                ),
            );
            say(
                survey.without_text,
                format!(
                    "{} have no `txt` and are dropped; name the caption with --text-key or --json-text-key",
                    of(survey.without_text)
                ),
            );
            say(
                survey.too_many_pixels,
                format!(
                    "{} have more than {OPEN_CLIP_MAX_PIXELS} pixels and are dropped; raise --max-image-pixels",
                    of(survey.too_many_pixels)
                ),
            );
            say(survey.several_dots, dots());
        }
        Reader::Hf => {
            say(
                survey.upper_case,
                format!(
                    "{} have upper-case extensions, which make columns of their own",
                    of(survey.upper_case)
                ),
            );
        }
        Reader::Dali => {
            let no_index = u64::from(!dali::path_for(path).is_file());
            say(
                no_index,
                "no .idx: the whole tar is scanned at start-up; run `pairmill-shards index --dali`"
                    .to_owned(),
            );
            say(
                survey.upper_case,
                format!(
                    "{} have upper-case extensions: they match only with case_sensitive_extensions=False",
                    of(survey.upper_case)
                ),
            );
            say(
                survey.blank_in_name,
                format!("{} have a blank in a name, which an .idx cannot hold", of(survey.blank_in_name)),
            );
            say(survey.several_dots, dots());
            let sets = survey.member_sets.len();
            say(
                u64::from(sets > 1),
                format!(
                    "samples have {sets} different sets of members; a missing one reads as an empty tensor, which decoders refuse; set missing_component_behavior=\"skip\""
                ),
            );
        }
        Reader::Energon => {
            let no_index = u64::from(!energon::path_for(path).is_file());
            say(
                no_index,
                "no .tar.idx: `energon prepare` reads the whole tar; run `pairmill-shards index --energon`"
                    .to_owned(),
            );
            say(
                survey.without_image,
                format!("{} have no image: a field map that names it stops there", of(survey.without_image)),
            );
            let sets = survey.member_sets.len();
            say(
                u64::from(sets > 1),
                format!("samples have {sets} different sets of members: a field map stops at a missing one"),
            );
            say(survey.several_dots, dots());
        }
    }
    problems
}

fn open_clip_sizes(folder: &Path, tars: &[PathBuf], findings: &mut Findings) {
    let name = Reader::OpenClip.name();
    if tars.len() == 1 {
        let problem =
            "one shard: open_clip wants at least one for each worker of each process (workers × GPUs)";
        findings.warn(name, folder, Place::File, problem);
    }
    let path = sizes::path_in(folder);
    let Ok(listed) = sizes::read(&path) else {
        let problem = "no readable sizes.json beside the first shard: it needs --train-num-samples; run \
                       `pairmill-shards index --sizes`";
        findings.warn(name, folder, Place::File, problem);
        return;
    };
    for tar in tars {
        let base = tar.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !listed.contains_key(&base) {
            findings.warn(name, &path, Place::Key(base), "not listed: it stops with a KeyError");
        } else if tar.parent() != Some(folder) {
            findings.warn(
                name,
                tar,
                Place::File,
                "counted by the sizes.json of the first shard's folder, not its own",
            );
        }
    }
}

/// The columns Hugging Face datasets infers from the first samples of the first tar.
#[derive(Debug, Default)]
struct HfFeatures {
    members: BTreeSet<String>,
    /// Kinds of JSON value by field (`json.width`), null left out.
    kinds: BTreeMap<String, BTreeSet<&'static str>>,
}

impl HfFeatures {
    fn infer(path: &Path, tar: &MappedTar, findings: &mut Findings) -> Self {
        let mut features = Self::default();
        let mut first: Option<String> = None;
        for sample in tar.iter().take(HF_INFERRED_SAMPLES) {
            let set = member_set(&sample);
            features.members.extend(sample.members().map(|(ext, _)| ext.to_owned()));
            if let Some(first) = first.as_ref().filter(|first| **first != set) {
                let problem = format!(
                    "the first {HF_INFERRED_SAMPLES} samples must have the same members: {first} before, {set} here; \
                     it refuses the dataset"
                );
                findings.warn(Reader::Hf.name(), path, place(&sample), problem);
            }
            first.get_or_insert(set);
            for (field, kind) in json_kinds(&sample) {
                let kinds = features.kinds.entry(field).or_default();
                kinds.extend(kind);
            }
        }
        features
    }

    fn check(&mut self, path: &Path, tar: &MappedTar, findings: &mut Findings) {
        for sample in tar.iter() {
            let missing: Vec<&str> =
                self.members.iter().map(String::as_str).filter(|ext| sample.get(ext).is_none()).collect();
            if !missing.is_empty() {
                let problem = format!("no {}, which the first samples have", missing.join(", "));
                findings.warn(Reader::Hf.name(), path, place(&sample), problem);
            }
            for (field, kind) in json_kinds(&sample) {
                let Some(kind) = kind else { continue };
                let problem = match self.kinds.get_mut(&field) {
                    None => {
                        format!(
                            "the field `{field}` is not in the first {HF_INFERRED_SAMPLES} samples, so it is no column"
                        )
                    }
                    Some(kinds) if kinds.contains(kind) || (kind == "integer" && kinds.contains("float")) => {
                        continue;
                    }
                    Some(kinds) if kinds.is_empty() => {
                        // Said once: from here on the field counts as typed.
                        kinds.insert(kind);
                        format!(
                            "the field `{field}` is {kind} here and null in the first {HF_INFERRED_SAMPLES} samples, \
                             from which its type is inferred; pass features= to load_dataset"
                        )
                    }
                    Some(kinds) => {
                        let before: Vec<&str> = kinds.iter().copied().collect();
                        format!(
                            "the field `{field}` is {kind} here and {} before; columns have one type",
                            before.join(" or ")
                        )
                    }
                };
                findings.warn(Reader::Hf.name(), path, place(&sample), problem);
            }
        }
    }
}

fn place(sample: &MappedSample<'_>) -> Place {
    Place::Sample(sample.key().to_owned(), sample.span().start())
}

/// Field and kind of the top level of a sample's `json`; `None` stands for null.
fn json_kinds(sample: &MappedSample<'_>) -> Vec<(String, Option<&'static str>)> {
    let text = sample.metadata().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let value = text.and_then(|text| parse_python_json(text).ok());
    let Some(Value::Object(fields)) = value else { return Vec::new() };
    let kind = |value: &Value| match value {
        Value::Null => None,
        Value::Bool(_) => Some("boolean"),
        Value::Number(n) if n.is_f64() => Some("float"),
        Value::Number(_) => Some("integer"),
        Value::String(_) => Some("text"),
        Value::Array(_) => Some("a list"),
        Value::Object(_) => Some("an object"),
    };
    fields.iter().map(|(name, value)| (name.clone(), kind(value))).collect()
}
