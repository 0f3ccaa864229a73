//! Weights of other programs into a model, and a model's weights into a file for them. open_clip's names are ours, so
//! exporting is writing; importing undoes what trainers wrap around names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use pairmill_pixels::Normalisation;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::huggingface::{HuggingFace, is_huggingface};
use super::pickle::PickleFile;
use super::positions::{self, Resized};
use super::tensors::{self, Entry, TensorFile};
use super::{CheckpointError, matching};
use crate::weights::Weights;

/// Parts of names that stand for a wrapper wherever they are: `torch.compile`, FSDP, activation checkpointing.
const WRAPPER_PARTS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// Put before every name by DistributedDataParallel, and by modules that hold the model as Lightning's do.
const WRAPPERS: [&str; 2] = ["module.", "model."];
/// The one tensor that every CLIP has once: what stands before it stands before the whole model.
const ANCHOR: &str = "logit_scale";
/// Files of a folder of weights that are looked for, in this order.
const FILES_OF_A_FOLDER: [&str; 6] = [
    "open_clip_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
/// Said of a file like wise-ft's, which leaves the text transformer out once a head has taken its place.
const NO_TEXT: &str = "the file has no text transformer, so it is no whole CLIP; `pairmill-train import` without --model converts what it has";
/// How the list of a model in several files ends.
const INDEX: &str = ".index.json";
/// What OpenAI's TorchScript archives hold besides weights, and the mask that scripted models carry.
const NOT_WEIGHTS: [&str; 5] =
    ["input_resolution", "context_length", "vocab_size", "attn_mask", "position_ids"];
/// First parts of text tower names, which open_clip's models with a custom text tower put below `text.`.
const TEXT_TOWER: [&str; 5] =
    ["text_projection", "positional_embedding", "token_embedding.", "transformer.", "ln_final."];
const TEXT: &str = "text.";

/// All tensors of a model by name, sharing memory.
pub fn named(weights: &Weights) -> Vec<(String, Tensor)> {
    weights.all().into_iter().map(|weight| (weight.name, weight.tensor)).collect()
}

/// Overwrites the weights with those of `path`: safetensors, `torch.save` of a state dict (bare, or under `state_dict`,
/// `model` and the like) or of a whole module, a TorchScript archive such as OpenAI's, or Hugging Face's `CLIPModel`, in one
/// file or several. The format is told from the bytes, and whose names they are from the names.
/// Position embeddings of a ViT for pictures of another size are resized as open_clip does, and the change returned.
///
/// # Errors
/// When the file is missing, damaged, of a refused kind, or another model's.
pub fn import_weights(path: &Path, weights: &Weights) -> Result<Option<Resized>, CheckpointError> {
    let mut file = WeightsFile::open(path)?;
    let targets = named(weights);
    let mut entries = renamed(file.entries(), &targets);
    let positions = targets.iter().find(|(name, _)| name == positions::NAME);
    let mut resized = None;
    if let Some((_, target)) = positions
        && let Some((_, entry)) = entries.iter_mut().find(|(name, _)| name == positions::NAME)
    {
        resized = Resized::between(&entry.shape, &target.size());
        if resized.is_some() {
            entry.shape = target.size();
        }
    }
    let pairs = matching::pair(&targets, &entries).map_err(|mut mismatch| {
        let has_text =
            entries.iter().any(|(name, _)| name.contains("transformer.") && !name.starts_with("visual."));
        let lacks_text =
            mismatch.missing.iter().any(|name| name.ends_with("transformer.resblocks.0.ln_1.weight"));
        mismatch.note = (!has_text && lacks_text).then_some(NO_TEXT);
        CheckpointError::Mismatch { path: path.to_path_buf(), mismatch: mismatch.into() }
    })?;
    for (target, entry) in pairs {
        let tensor = file.read(&entry.name)?;
        match resized {
            Some(change) if tensor.size() != entry.shape => {
                matching::overwrite(target, &change.apply(&tensor)?)?;
            }
            _ => matching::overwrite(target, &tensor)?,
        }
    }
    Ok(resized)
}

/// Writes the weights as a safetensors file that open_clip loads (`create_model(NAME, pretrained=PATH)`), atomically.
///
/// # Errors
/// When the file cannot be written.
pub fn export_weights(weights: &Weights, path: &Path) -> Result<(), CheckpointError> {
    export_trained(weights, Normalisation::default(), path)
}

/// As [`export_weights`], of a model whose pixels were normalised by `statistics`: the file says so where they are not
/// CLIP's.
///
/// # Errors
/// When the file cannot be written.
pub fn export_trained(
    weights: &Weights,
    statistics: Normalisation,
    path: &Path,
) -> Result<(), CheckpointError> {
    tensors::save_about(&named(weights), normalise_text(statistics, path)?.as_deref(), path)
}

/// What a weights file says of the `statistics` of its pixels; nothing of CLIP's, which every reader assumes.
pub(super) fn normalise_text(
    statistics: Normalisation,
    path: &Path,
) -> Result<Option<String>, CheckpointError> {
    if statistics == Normalisation::default() {
        return Ok(None);
    }
    let text = serde_json::to_string(&statistics);
    text.map(Some).map_err(|error| CheckpointError::damaged(path, format!("data.normalise: {error}")))
}

/// How pixels were normalised for the weights in a file, where the file says it.
///
/// # Errors
/// When the file is missing or damaged.
pub fn statistics_of(path: &Path) -> Result<Option<Normalisation>, CheckpointError> {
    let WeightsFile::Safetensors(file) = WeightsFile::open(path)? else { return Ok(None) };
    let Some(text) = file.about(tensors::NORMALISE) else { return Ok(None) };
    let found = serde_json::from_str(text);
    found.map(Some).map_err(|error| {
        CheckpointError::damaged(path, format!("its {} cannot be read: {error}", tensors::NORMALISE))
    })
}

/// Turns a weights file of any kind we read into a safetensors file of fp32 weights, atomically, without knowing the
/// model: wrappers around names go, and so does what is no weight. Holds all tensors at once.
///
/// # Errors
/// When `from` is missing, damaged or of a refused kind, or `to` cannot be written.
pub fn convert_weights(from: &Path, to: &Path) -> Result<(), CheckpointError> {
    let mut file = WeightsFile::open(from)?;
    let mut tensors = Vec::new();
    for (name, entry) in renamed(file.entries(), &[]) {
        let tensor = file.read(&entry.name)?;
        let is_narrow = matches!(entry.kind, Kind::Half | Kind::BFloat16);
        tensors.push((name, if is_narrow { tensor.f_to_kind(Kind::Float)? } else { tensor }));
    }
    let statistics = statistics_of(from)?.unwrap_or_default();
    tensors::save_about(&tensors, normalise_text(statistics, to)?.as_deref(), to)
}

/// A file with weights in it, of any kind we read.
#[derive(Debug)]
pub enum WeightsFile {
    /// safetensors.
    Safetensors(TensorFile),
    /// `torch.save`, TorchScript, `pickle.dump`.
    Pickle(PickleFile),
    /// A model in several files.
    Parts(Parts),
    /// Hugging Face's, seen under open_clip's names.
    HuggingFace(Box<HuggingFace>),
}

impl WeightsFile {
    /// Opens it, telling the kind from the first bytes. A folder stands for the weights in it, and the `.index.json` of a
    /// model in several files for all of them. Hugging Face's names become open_clip's.
    ///
    /// # Errors
    /// When it is missing, damaged or of a refused kind.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = if path.is_dir() {
            let inside = FILES_OF_A_FOLDER.iter().map(|name| path.join(name)).find(|file| file.is_file());
            Self::raw(&inside.ok_or_else(|| {
                let what = format!("no weights in this folder; looked for {}", FILES_OF_A_FOLDER.join(", "));
                CheckpointError::damaged(path, what)
            })?)?
        } else {
            Self::raw(path)?
        };
        let named = unwrapped(file.entries());
        Ok(match is_huggingface(named.iter().map(|(name, _)| name.as_str())) {
            true => Self::HuggingFace(Box::new(HuggingFace::new(file, &named))),
            false => file,
        })
    }

    /// Under the names that are in it.
    fn raw(path: &Path) -> Result<Self, CheckpointError> {
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(INDEX)) {
            return Parts::open(path).map(Self::Parts);
        }
        let mut first = Vec::new();
        let file = File::open(path).map_err(|error| CheckpointError::read(path, error))?;
        file.take(9).read_to_end(&mut first).map_err(|error| CheckpointError::read(path, error))?;
        match first.as_slice() {
            [b'P', b'K', ..] => PickleFile::open(path).map(Self::Pickle),
            // A bare pickle begins with its protocol. A safetensors header may have such a length, but then opens here.
            [0x80, 2..=5, rest @ ..] if rest.last() != Some(&b'{') => {
                PickleFile::open_bare(path).map(Self::Pickle)
            }
            _ => TensorFile::open(path).map(Self::Safetensors),
        }
    }

    /// What it holds.
    pub fn entries(&self) -> &[Entry] {
        match self {
            Self::Safetensors(file) => file.entries(),
            Self::Pickle(file) => file.entries(),
            Self::Parts(parts) => &parts.entries,
            Self::HuggingFace(file) => file.entries(),
        }
    }

    /// Reads one tensor, on the CPU.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Tensor, CheckpointError> {
        match self {
            Self::Safetensors(file) => file.read(name),
            Self::Pickle(file) => file.read(name),
            Self::Parts(parts) => parts.read(name),
            Self::HuggingFace(file) => file.read(name),
        }
    }
}

/// The files of one model, by the index that Hugging Face writes beside them.
#[derive(Debug)]
pub struct Parts {
    path: PathBuf,
    files: Vec<WeightsFile>,
    /// Which file a tensor is in.
    places: BTreeMap<String, usize>,
    entries: Vec<Entry>,
}

impl Parts {
    fn open(path: &Path) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let damaged = |what: String| CheckpointError::damaged(path, what);
        let text = std::fs::read_to_string(path).map_err(|error| CheckpointError::read(path, error))?;
        let index: Index = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        let (mut files, mut places, mut entries) = (Vec::new(), BTreeMap::new(), Vec::new());
        for name in names {
            let is_beside = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
            if !is_beside || name.ends_with(INDEX) {
                let shown = pairmill_shards::printable::excerpt(name, 80);
                return Err(damaged(format!("it names {shown}, which is no file beside it")));
            }
            let file = WeightsFile::raw(&path.with_file_name(name))?;
            for entry in file.entries() {
                places.insert(entry.name.clone(), files.len());
                entries.push(entry.clone());
            }
            files.push(file);
        }
        if let Some(missing) = index.weight_map.keys().find(|name| !places.contains_key(*name)) {
            let shown = pairmill_shards::printable::excerpt(missing, 80);
            return Err(damaged(format!("{shown} is in none of the files it names")));
        }
        Ok(Self { path: path.to_path_buf(), files, places, entries })
    }

    fn read(&mut self, name: &str) -> Result<Tensor, CheckpointError> {
        match self.places.get(name).and_then(|place| self.files.get_mut(*place)) {
            Some(file) => file.read(name),
            None => Err(CheckpointError::damaged(&self.path, format!("no tensor {name}"))),
        }
    }
}

/// Each entry with its name less what trainers wrap around the model.
fn unwrapped(entries: &[Entry]) -> Vec<(String, Entry)> {
    let plain = |name: &str| {
        let parts = name.split('.').filter(|part| !WRAPPER_PARTS.contains(part));
        parts.collect::<Vec<_>>().join(".")
    };
    let mut all: Vec<(String, Entry)> =
        entries.iter().map(|entry| (plain(&entry.name), entry.clone())).collect();
    let prefixes: BTreeSet<String> = all
        .iter()
        .filter_map(|(name, _)| name.strip_suffix(ANCHOR))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .map(str::to_owned)
        .collect();
    // Two models in one file are not told apart here: the mismatch lists their names.
    if let (Some(prefix), 1) = (prefixes.first(), prefixes.len()) {
        for (name, _) in &mut all {
            if name.starts_with(prefix) {
                name.drain(..prefix.len());
            }
        }
    }
    while let Some(wrapper) = WRAPPERS
        .iter()
        .find(|wrapper| !all.is_empty() && all.iter().all(|(name, _)| name.starts_with(*wrapper)))
    {
        for (name, _) in &mut all {
            name.drain(..wrapper.len());
        }
    }
    all
}

/// Each entry with the name it has in the model.
fn renamed(entries: &[Entry], targets: &[(String, Tensor)]) -> Vec<(String, Entry)> {
    let mut all = unwrapped(entries);
    let is_wanted = |name: &str| targets.iter().any(|(wanted, _)| wanted == name);
    all.retain(|(name, _)| {
        let last = name.rsplit('.').next().unwrap_or(name);
        !NOT_WEIGHTS.contains(&last) || is_wanted(name)
    });
    let in_text_tower = |name: &str| TEXT_TOWER.iter().any(|part| name.starts_with(part));
    for (name, _) in &mut all {
        let other = match name.strip_prefix(TEXT) {
            Some(plain) => plain.to_owned(),
            None if in_text_tower(name) => format!("{TEXT}{name}"),
            None => continue,
        };
        if !is_wanted(name) && is_wanted(&other) {
            *name = other;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use tch::{Device, no_grad};

    use super::*;
    use crate::weights::Init;

    fn weights(names: &[&str]) -> Weights {
        let weights = Weights::new(Device::Cpu);
        for name in names {
            let shape: &[i64] = if *name == "logit_scale" { &[] } else { &[2, 3] };
            let _ = weights.root().parameter(name, shape, Init::Constant(0.0)).unwrap();
        }
        weights
    }

    fn fill(weights: &Weights, value: f64) {
        for weight in weights.all() {
            let _ = no_grad(|| weight.tensor.shallow_clone().fill_(value));
        }
    }

    fn write(path: &Path, names: &[&str]) {
        let tensor = |name: &str| {
            let shape: &[i64] = if name.ends_with("logit_scale") { &[1] } else { &[2, 3] };
            Tensor::full(shape, 7.0, (Kind::Half, Device::Cpu))
        };
        let named: Vec<_> = names.iter().map(|name| ((*name).to_owned(), tensor(name))).collect();
        tensors::write(&named, File::create(path).unwrap(), path).unwrap();
    }

    #[test]
    fn t14_wrapped_half_precision_and_custom_text_names_find_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let plain = ["visual.proj", "transformer.resblocks.0.w", "text_projection", "logit_scale"];
        let custom = ["visual.proj", "text.transformer.resblocks.0.w", "text.text_projection", "logit_scale"];
        let wrapped = plain.map(|name| format!("module._orig_mod.{name}"));
        let openai = [&plain[..], &["input_resolution", "context_length", "vocab_size"]].concat();
        let fsdp = plain
            .map(|name| format!("_fsdp_wrapped_module.{}", name.replacen('.', "._fsdp_wrapped_module.", 1)));
        let lightning = plain.map(|name| format!("model.module.{}", name.replacen('.', "._orig_mod.", 1)));
        let held = custom.map(|name| format!("image_encoder.model._checkpoint_wrapped_module.{name}"));
        let texts = |names: &[String; 4]| -> Vec<String> { names.to_vec() };
        let others: Vec<Vec<String>> = vec![texts(&wrapped), texts(&fsdp), texts(&lightning), texts(&held)];
        let others: Vec<Vec<&str>> =
            others.iter().map(|names| names.iter().map(String::as_str).collect()).collect();
        let mut files: Vec<&[&str]> = vec![&plain, &custom, &openai];
        files.extend(others.iter().map(Vec::as_slice));
        for file in files {
            write(&path, file);
            for model in [plain, custom] {
                let weights = weights(&model);
                import_weights(&path, &weights).unwrap();
                for weight in weights.all() {
                    assert_eq!(weight.tensor.kind(), Kind::Float);
                    assert_eq!(weight.tensor.min().double_value(&[]), 7.0, "{file:?} into {}", weight.name);
                }
            }
        }
    }

    #[test]
    fn another_model_is_refused_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        write(&path, &["visual.proj", "visual.extra"]);
        let weights = weights(&["visual.proj", "logit_scale"]);
        fill(&weights, 1.0);
        let message = import_weights(&path, &weights).unwrap_err().to_string();
        assert!(message.ends_with("1 missing: logit_scale; 1 unexpected: visual.extra"), "{message}");
        assert!(weights.all().iter().all(|weight| weight.tensor.max().double_value(&[]) == 1.0));
    }

    #[test]
    fn what_is_exported_comes_back_and_replaces_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.safetensors");
        let original = weights(&["visual.proj", "logit_scale"]);
        fill(&original, 3.25);
        export_weights(&original, &path).unwrap();
        let other = weights(&["visual.proj", "logit_scale"]);
        import_weights(&path, &other).unwrap();
        assert!(other.all().iter().all(|weight| weight.tensor.min().double_value(&[]) == 3.25));
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["out.safetensors"]);
    }

    #[test]
    fn t09_a_classifier_without_its_text_transformer_is_told_from_another_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wise.safetensors");
        let names = ["visual.transformer.resblocks.0.w", "logit_scale"];
        let mut held = names.map(|name| format!("image_encoder.model.{name}")).to_vec();
        held.push("classification_head.weight".to_owned());
        write(&path, &held.iter().map(String::as_str).collect::<Vec<_>>());
        let text = "transformer.resblocks.0.ln_1.weight";
        let message = import_weights(&path, &weights(&[names[0], names[1], text])).unwrap_err().to_string();
        assert!(
            message.contains("1 missing: transformer.") && message.ends_with("converts what it has"),
            "{message}"
        );
        let converted = folder.path().join("converted.safetensors");
        convert_weights(&path, &converted).unwrap();
        let file = WeightsFile::open(&converted).unwrap();
        let found: Vec<&str> = file.entries().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(found, ["classification_head.weight", "logit_scale", names[0]]);
    }

    #[test]
    fn files_that_hold_no_weights_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let weights = weights(&["visual.proj"]);
        let path = folder.path().join("w.pt");
        let cases: [(&[u8], &str); 4] = [
            (b"", "shorter than"),
            (b"\x80\x02}q\x00.", "no tensors"),
            (b"PK\x03\x04rubbish", "zip"),
            (b"<html>not found</html>", "no safetensors file"),
        ];
        for (bytes, said) in cases {
            std::fs::write(&path, bytes).unwrap();
            let message = import_weights(&path, &weights).unwrap_err().to_string();
            assert!(
                message.contains("w.pt: ") && message.contains(said) && !message.contains('\n'),
                "{message}"
            );
        }
        let gone = import_weights(&folder.path().join("gone.pt"), &weights).unwrap_err().to_string();
        assert!(gone.contains("gone.pt: there is no such file"), "{gone}");
    }
}
