use tch::{Device, Kind};

use super::*;
use crate::checkpoint::import::{convert_weights, import_weights, named};
use crate::checkpoint::tensors;
use crate::model::Clip;

fn tiny(seed: i64) -> Clip {
    tch::manual_seed(seed);
    Clip::new(&Architecture::find("vit-tiny").unwrap(), Device::Cpu).unwrap()
}

/// A model's tensors as `CLIPModel` of transformers has them, written by its layout and not by the table above.
fn theirs(clip: &Clip) -> Vec<(String, Tensor)> {
    let mut out = Vec::new();
    let mut put = |name: String, tensor: Tensor| out.push((name, tensor.detach().contiguous()));
    for (name, tensor) in named(clip.weights()) {
        let (tower, rest) = match name.strip_prefix("visual.") {
            Some(rest) => ("vision_model", rest),
            None => ("text_model", name.as_str()),
        };
        let simple = match name.as_str() {
            "logit_scale" => "logit_scale",
            "visual.class_embedding" => "vision_model.embeddings.class_embedding",
            "visual.conv1.weight" => "vision_model.embeddings.patch_embedding.weight",
            "visual.positional_embedding" => "vision_model.embeddings.position_embedding.weight",
            "visual.ln_pre.weight" => "vision_model.pre_layrnorm.weight",
            "visual.ln_pre.bias" => "vision_model.pre_layrnorm.bias",
            "visual.ln_post.weight" => "vision_model.post_layernorm.weight",
            "visual.ln_post.bias" => "vision_model.post_layernorm.bias",
            "token_embedding.weight" => "text_model.embeddings.token_embedding.weight",
            "positional_embedding" => "text_model.embeddings.position_embedding.weight",
            "ln_final.weight" => "text_model.final_layer_norm.weight",
            "ln_final.bias" => "text_model.final_layer_norm.bias",
            "visual.proj" => {
                put("visual_projection.weight".into(), tensor.tr());
                continue;
            }
            "text_projection" => {
                put("text_projection.weight".into(), tensor.tr());
                continue;
            }
            _ => "",
        };
        if !simple.is_empty() {
            put(simple.into(), tensor);
            continue;
        }
        let block = rest.strip_prefix("transformer.resblocks.").unwrap();
        let (number, part) = block.split_once('.').unwrap();
        let layer = format!("{tower}.encoder.layers.{number}");
        if let Some(last) = part.strip_prefix("attn.in_proj_") {
            for (piece, own) in tensor.chunk(3, 0).into_iter().zip(["q_proj", "k_proj", "v_proj"]) {
                put(format!("{layer}.self_attn.{own}.{last}"), piece);
            }
            continue;
        }
        let part = part
            .replace("attn.out_proj", "self_attn.out_proj")
            .replace("ln_1", "layer_norm1")
            .replace("ln_2", "layer_norm2")
            .replace("mlp.c_fc", "mlp.fc1")
            .replace("mlp.c_proj", "mlp.fc2");
        put(format!("{layer}.{part}"), tensor);
    }
    for tower in ["vision_model", "text_model"] {
        put(format!("{tower}.embeddings.position_ids"), Tensor::arange(5, (Kind::Int64, Device::Cpu)));
    }
    out
}

fn assert_same(found: &Clip, wanted: &Clip) {
    for ((name, found), (_, wanted)) in named(found.weights()).into_iter().zip(named(wanted.weights())) {
        assert!(found.equal(&wanted), "{name}");
    }
}

#[test]
fn t14_hugging_faces_names_become_open_clips() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = tiny(1);
    let theirs = theirs(&wanted);
    let path = folder.path().join("model.safetensors");
    tensors::save(&theirs, &path).unwrap();
    // The file, and the folder it is in.
    for from in [path.as_path(), folder.path()] {
        let found = tiny(2);
        import_weights(from, found.weights()).unwrap();
        assert_same(&found, &wanted);
    }
    // From file to file, without a model.
    let converted = folder.path().join("converted.safetensors");
    convert_weights(&path, &converted).unwrap();
    let found = tiny(2);
    import_weights(&converted, found.weights()).unwrap();
    assert_same(&found, &wanted);
    // Held by another module and compiled.
    let wrapped: Vec<_> = theirs
        .iter()
        .map(|(name, tensor)| (format!("clip._orig_mod.{name}"), tensor.shallow_clone()))
        .collect();
    tensors::save(&wrapped, &path).unwrap();
    let found = tiny(2);
    import_weights(&path, found.weights()).unwrap();
    assert_same(&found, &wanted);
}

#[test]
fn t14_a_model_in_several_files_is_read_by_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = tiny(1);
    let theirs = theirs(&wanted);
    let mut map = serde_json::Map::new();
    // A part of an attention in each file.
    for (index, part) in theirs.chunks(theirs.len().div_ceil(3)).enumerate() {
        let name = format!("model-{:05}-of-00003.safetensors", index + 1);
        tensors::save(part, &folder.path().join(&name)).unwrap();
        map.extend(part.iter().map(|(tensor, _)| (tensor.clone(), name.clone().into())));
    }
    let path = folder.path().join("model.safetensors.index.json");
    let write = |map: &serde_json::Map<String, serde_json::Value>| {
        let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
        std::fs::write(&path, index.to_string()).unwrap();
    };
    write(&map);
    for from in [path.as_path(), folder.path()] {
        let found = tiny(2);
        import_weights(from, found.weights()).unwrap();
        assert_same(&found, &wanted);
    }
    let refused = |key: &str, file: &str| {
        let mut map = map.clone();
        map.insert(key.into(), file.into());
        write(&map);
        import_weights(&path, tiny(2).weights()).unwrap_err().to_string()
    };
    let elsewhere = refused("logit_scale", "../model.safetensors");
    assert!(elsewhere.contains("no file beside it"), "{elsewhere}");
    let absent = refused("nowhere", "model-00001-of-00003.safetensors");
    assert!(absent.contains("nowhere is in none of the files"), "{absent}");
    let lost = refused("logit_scale", "model-00009-of-00003.safetensors");
    assert!(lost.contains("model-00009"), "{lost}");
}

#[test]
fn t14_an_incomplete_attention_is_named_and_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let mut theirs = theirs(&tiny(1));
    theirs.retain(|(name, _)| name != "text_model.encoder.layers.0.self_attn.k_proj.weight");
    let path = folder.path().join("model.safetensors");
    tensors::save(&theirs, &path).unwrap();
    let message = import_weights(&path, tiny(2).weights()).unwrap_err().to_string();
    assert!(message.contains("1 missing: transformer.resblocks.0.attn.in_proj_weight"), "{message}");
    assert!(message.contains("self_attn.q_proj.weight"), "{message}");
}

#[test]
fn t14_activation_and_heads_beside_the_weights_are_held_against_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("model.safetensors");
    let check = |name: &str, config: &str| {
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        check_config(&weights, &Architecture::find(name).unwrap()).map_err(|error| error.to_string())
    };
    let towers = |act: &str, heads: i64| {
        format!(
            r#"{{"model_type": "clip", "text_config": {{"hidden_act": "{act}", "num_attention_heads": 8}},
                "vision_config": {{"hidden_act": "{act}", "num_attention_heads": {heads}}}}}"#
        )
    };
    check("ViT-B-32", &towers("gelu", 12)).unwrap();
    check("ViT-B-32-quickgelu", &towers("quick_gelu", 12)).unwrap();
    // What the file leaves out has the library's defaults.
    check("ViT-B-32-quickgelu", r#"{"text_config": {}, "vision_config": {}}"#).unwrap();
    let message = check("ViT-B-32", &towers("quick_gelu", 12)).unwrap_err();
    assert!(
        message.contains("quick_gelu") && message.contains("take --model ViT-B-32-quickgelu"),
        "{message}"
    );
    let message = check("ViT-B-32-quickgelu", &towers("gelu", 12)).unwrap_err();
    assert!(message.ends_with("take --model ViT-B-32"), "{message}");
    let message = check("ViT-B-32", &towers("gelu", 16)).unwrap_err();
    assert!(message.contains("16 heads (vision_config)"), "{message}");
    // A file of that name that is something else says nothing.
    check("ViT-B-32", r#"{"batch_size": 3}"#).unwrap();
    check("ViT-B-32", "no JSON").unwrap();
}
