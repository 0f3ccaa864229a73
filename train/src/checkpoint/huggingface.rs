//! Weights of Hugging Face's `CLIPModel` under open_clip's names: queries, keys and values joined, the two projections
//! turned, everything else renamed. Tensors are read from the file one at a time, as they are asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tch::Tensor;

use super::CheckpointError;
use super::import::WeightsFile;
use super::tensors::Entry;
use crate::model::architecture::VisualArchitecture;
use crate::model::{Activation, Architecture};

/// Names of which one is in every such file.
const MARKS: [&str; 2] =
    ["vision_model.embeddings.patch_embedding.weight", "text_model.embeddings.token_embedding.weight"];
/// What stands beside the weights and says what nothing in them does.
const CONFIG: &str = "config.json";
/// Parts of `in_proj`, in their order.
const JOINED: [&str; 3] = ["q_proj", "k_proj", "v_proj"];

/// How one of open_clip's tensors is made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Recipe {
    Same(String),
    Turned(String),
    Joined([String; JOINED.len()]),
}

/// A file seen under open_clip's names.
#[derive(Debug)]
pub struct HuggingFace {
    file: WeightsFile,
    recipes: BTreeMap<String, Recipe>,
    entries: Vec<Entry>,
}

/// Where a tensor of theirs belongs.
enum Target {
    Whole(String),
    Turned(&'static str),
    Part(String, usize),
    Nowhere,
}

/// Whether these names are Hugging Face's.
pub(super) fn is_huggingface<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| MARKS.contains(&name))
}

impl HuggingFace {
    /// A file whose tensors have the names `named` says, their own beside them.
    pub(super) fn new(file: WeightsFile, named: &[(String, Entry)]) -> Self {
        let mut recipes: BTreeMap<String, Recipe> = BTreeMap::new();
        let mut parts: BTreeMap<String, [Option<&Entry>; JOINED.len()]> = BTreeMap::new();
        let mut entries = Vec::with_capacity(named.len());
        let mut add = |name: String, shape: Vec<i64>, like: &Entry, recipe: Recipe| {
            entries.push(Entry { name: name.clone(), shape, kind: like.kind });
            recipes.insert(name, recipe);
        };
        for (name, entry) in named {
            match target(name) {
                Target::Nowhere => {}
                Target::Part(whole, index) => parts.entry(whole).or_default()[index] = Some(entry),
                Target::Whole(to) => add(to, entry.shape.clone(), entry, Recipe::Same(entry.name.clone())),
                Target::Turned(to) => {
                    let shape = entry.shape.iter().rev().copied().collect();
                    add(to.to_owned(), shape, entry, Recipe::Turned(entry.name.clone()));
                }
            }
        }
        for (whole, found) in parts {
            match found {
                [Some(q), Some(k), Some(v)]
                    if !q.shape.is_empty()
                        && [k, v].iter().all(|part| part.shape.get(1..) == q.shape.get(1..)) =>
                {
                    let mut shape = q.shape.clone();
                    if let Some(rows) = shape.first_mut() {
                        *rows = [q, k, v].iter().filter_map(|part| part.shape.first()).sum();
                    }
                    add(whole, shape, q, Recipe::Joined([q, k, v].map(|part| part.name.clone())));
                }
                // Left under their own names, which the mismatch then lists.
                some => {
                    for entry in some.into_iter().flatten() {
                        let own = Recipe::Same(entry.name.clone());
                        add(entry.name.clone(), entry.shape.clone(), entry, own);
                    }
                }
            }
        }
        Self { file, recipes, entries }
    }

    /// What it holds, by open_clip's names.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Makes one tensor, on the CPU.
    ///
    /// # Errors
    /// When a tensor it is made of cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Tensor, CheckpointError> {
        match self.recipes.get(name).cloned() {
            None => self.file.read(name),
            Some(Recipe::Same(own)) => self.file.read(&own),
            Some(Recipe::Turned(own)) => Ok(self.file.read(&own)?.f_tr()?.f_contiguous()?),
            Some(Recipe::Joined(parts)) => {
                let parts: Vec<Tensor> =
                    parts.iter().map(|part| self.file.read(part)).collect::<Result<_, _>>()?;
                Ok(Tensor::f_cat(&parts, 0)?)
            }
        }
    }
}

fn target(name: &str) -> Target {
    let whole = |to: String| Target::Whole(to);
    let own = || Target::Whole(name.to_owned());
    if name.ends_with(".position_ids") {
        return Target::Nowhere;
    }
    let (tower, rest) = match (name.strip_prefix("vision_model."), name.strip_prefix("text_model.")) {
        (Some(rest), _) => ("visual.", rest),
        (_, Some(rest)) => ("", rest),
        _ => {
            return match name {
                "visual_projection.weight" => Target::Turned("visual.proj"),
                "text_projection.weight" => Target::Turned("text_projection"),
                _ => own(),
            };
        }
    };
    match rest {
        "embeddings.class_embedding" => return whole(format!("{tower}class_embedding")),
        "embeddings.patch_embedding.weight" => return whole(format!("{tower}conv1.weight")),
        "embeddings.token_embedding.weight" => return whole(format!("{tower}token_embedding.weight")),
        "embeddings.position_embedding.weight" => return whole(format!("{tower}positional_embedding")),
        _ => {}
    }
    let Some((part, rest)) = rest.split_once('.') else { return own() };
    // The misspelling is theirs.
    let norm = match part {
        "pre_layrnorm" | "pre_layernorm" => Some("ln_pre"),
        "post_layernorm" => Some("ln_post"),
        "final_layer_norm" => Some("ln_final"),
        _ => None,
    };
    if let Some(norm) = norm {
        return whole(format!("{tower}{norm}.{rest}"));
    }
    let Some((layer, rest)) = rest.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) else {
        return own();
    };
    let block = format!("{tower}transformer.resblocks.{layer}");
    let renamed = [
        ("layer_norm1.", "ln_1."),
        ("layer_norm2.", "ln_2."),
        ("mlp.fc1.", "mlp.c_fc."),
        ("mlp.fc2.", "mlp.c_proj."),
        ("self_attn.out_proj.", "attn.out_proj."),
    ];
    for (theirs, ours) in renamed {
        if let Some(last) = rest.strip_prefix(theirs) {
            return whole(format!("{block}.{ours}{last}"));
        }
    }
    let attention = rest.strip_prefix("self_attn.").and_then(|rest| rest.split_once('.'));
    match attention.map(|(part, last)| (JOINED.iter().position(|known| *known == part), last)) {
        Some((Some(index), last @ ("weight" | "bias"))) => {
            Target::Part(format!("{block}.attn.in_proj_{last}"), index)
        }
        _ => own(),
    }
}

/// What of a `config.json` the weights do not show. What it leaves out has Hugging Face's defaults.
#[derive(Debug, Deserialize)]
struct Config {
    text_config: Tower,
    vision_config: Tower,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tower {
    hidden_act: Option<String>,
    num_attention_heads: Option<i64>,
}

/// Heads of a block where `config.json` does not say.
const DEFAULT_HEADS: [i64; 2] = [12, 8];
/// Activation where `config.json` does not say.
const DEFAULT_ACTIVATION: &str = "quick_gelu";

/// Holds the `config.json` beside Hugging Face's weights against an architecture: activation and heads show in no shape,
/// and wrong ones give wrong features without an error. Without that file nothing is known, and a `config.json` of something
/// else says nothing.
///
/// # Errors
/// When they differ.
pub fn check_config(weights: &Path, architecture: &Architecture) -> Result<(), CheckpointError> {
    let folder = if weights.is_dir() { Some(weights) } else { weights.parent() };
    let config = folder.map_or_else(|| PathBuf::from(CONFIG), |folder| folder.join(CONFIG));
    let Ok(text) = std::fs::read_to_string(&config) else { return Ok(()) };
    let config_error = |what: String| CheckpointError::damaged(&config, what);
    let Ok(found) = serde_json::from_str::<Config>(&text) else { return Ok(()) };
    let VisualArchitecture::Transformer(vit) = &architecture.visual else { return Ok(()) };
    let towers = [
        ("vision_config", &found.vision_config, vit.heads(), DEFAULT_HEADS[0]),
        ("text_config", &found.text_config, architecture.text.heads, DEFAULT_HEADS[1]),
    ];
    for (tower, found, wanted_heads, default_heads) in towers {
        let activation = found.hidden_act.as_deref().unwrap_or(DEFAULT_ACTIVATION);
        let is_quick = architecture.activation == Activation::QuickGelu;
        if (activation == DEFAULT_ACTIVATION) != is_quick {
            let shown = pairmill_shards::printable::excerpt(activation, 40);
            let plain = architecture.name.trim_end_matches("-quickgelu");
            let other = if is_quick { plain.to_owned() } else { format!("{plain}-quickgelu") };
            return Err(config_error(format!(
                "the weights beside it are of activation {shown} ({tower}), and {} has {}; take --model {other}",
                architecture.name, architecture.activation
            )));
        }
        let heads = found.num_attention_heads.unwrap_or(default_heads);
        if heads != wanted_heads {
            return Err(config_error(format!(
                "the weights beside it have {heads} heads ({tower}), and {} has {wanted_heads}; take the architecture they are of",
                architecture.name
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
