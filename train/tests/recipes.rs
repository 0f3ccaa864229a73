//! What messages tell people to type is typed here, with the Python and torch they would use; and files are read that only
//! torch can write. Needs the open_clip peer (`tests/peers/install.sh open_clip`) and says so where it is absent.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests may fail")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pairmill_train::checkpoint::import::WeightsFile;
use pairmill_train::checkpoint::pickle::PickleError;
use tch::Tensor;

/// The peer's Python.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("PAIRMILL_CACHE").map(PathBuf::from);
    let xdg = || std::env::var_os("XDG_CACHE_HOME").map(|folder| PathBuf::from(folder).join("pairmill"));
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/pairmill"));
    let python = cache.or_else(xdg).or_else(home)?.join("peers/open_clip/bin/python");
    if !python.is_file() {
        eprintln!("SKIPPED: no {}; run tests/peers/install.sh open_clip", python.display());
        return None;
    }
    Some(python)
}

fn run(python: &Path, folder: &Path, program: &str) -> Output {
    let output = Command::new(python).current_dir(folder).args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Modules of the shape of wise-ft's: a classifier around an encoder around the model, with functions and options beside.
const MODULES: &str = r"
import argparse, functools, pickle, sys, types, torch, torchvision.transforms as T
source = types.ModuleType('modeling'); sys.modules['modeling'] = source
exec('''
import torch
class Clip(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2), torch.nn.BatchNorm2d(4))
        self.logit_scale = torch.nn.Parameter(torch.tensor(4.5))
        self.register_buffer('mask', torch.ones(2), persistent=False)
class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Clip()
class Classifier(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.image_encoder = encoder
        self.classification_head = torch.nn.Linear(4, 2)
''', source.__dict__)
torch.manual_seed(0)
model = source.Classifier(source.Encoder()).eval()
";

fn tensors(path: &Path) -> Vec<(String, Tensor)> {
    let mut file = WeightsFile::open(path).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<String> = file.entries().iter().map(|entry| entry.name.clone()).collect();
    let mut all: Vec<_> = names.into_iter().map(|name| (name.clone(), file.read(&name).unwrap())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn assert_same(found: &Path, wanted: &Path) {
    let (found, wanted) = (tensors(found), tensors(wanted));
    let names = |all: &[(String, Tensor)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&wanted));
    for ((name, found), (_, wanted)) in found.iter().zip(&wanted) {
        assert!(found.kind() == wanted.kind() && found.equal(wanted), "{name}");
    }
}

#[test]
fn t09_the_line_that_messages_print_makes_a_file_that_is_read() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let line = |error: PickleError| {
        let message = error.to_string();
        let start = message.find("torch.save(").unwrap();
        message[start..].to_owned()
    };
    let errors =
        [PickleError::Class("os.system".to_owned()), PickleError::Opcode(0x69), PickleError::BigEndian];
    let lines: BTreeSet<String> = errors.into_iter().map(line).collect();
    for line in lines {
        let save =
            "from safetensors.torch import save_file\nsave_file(model.state_dict(), 'wanted.safetensors')";
        run(&python, folder.path(), &format!("{MODULES}\n{line}\n{save}"));
        assert_same(&folder.path().join("OUT.pt"), &folder.path().join("wanted.safetensors"));
        std::fs::remove_file(folder.path().join("OUT.pt")).unwrap();
    }
}

#[test]
fn t09_modules_and_namespaces_as_torch_writes_them_are_read_to_the_last_tensor() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = format!(
        r"{MODULES}
from safetensors.torch import save_file
save_file(model.state_dict(), 'wanted.safetensors')
model.image_encoder.train_preprocess = T.Compose([T.RandomResizedCrop(8, interpolation=T.InterpolationMode.BICUBIC), T.Normalize((0.5,), (0.5,))])
model.image_encoder.cache = functools.partial(max, 1)
for protocol in (3, 4, 5): open(f'dumped-{{protocol}}.pt', 'wb').write(pickle.dumps(model, protocol))
torch.save(model, 'whole.pt')
torch.save(model, 'whole-4.pt', pickle_protocol=4)
torch.save(model, 'legacy.pt', _use_new_zipfile_serialization=False)
torch.save(torch.nn.ModuleDict({{}}), 'empty.pt')
optimizer = torch.optim.AdamW(model.parameters())
args = argparse.Namespace(lr=3e-3, model='CLIP_VITB16', betas=(0.9, 0.98), device=torch.device('cpu'), dtype=torch.float16)
state = {{'epoch': 3, 'state_dict': model.state_dict(), 'optimizer': optimizer.state_dict(), 'args': args}}
torch.save(state, 'namespace.pt')
torch.save(state, 'namespace-legacy.pt', _use_new_zipfile_serialization=False)
torch.save({{'model': state, 'args': args}}, 'nested.pt')"
    );
    run(&python, folder.path(), &program);
    let wanted = folder.path().join("wanted.safetensors");
    for name in [
        "dumped-3.pt",
        "dumped-4.pt",
        "dumped-5.pt",
        "whole.pt",
        "whole-4.pt",
        "legacy.pt",
        "namespace.pt",
        "namespace-legacy.pt",
        "nested.pt",
    ] {
        eprintln!("{name}");
        assert_same(&folder.path().join(name), &wanted);
    }
    let message = WeightsFile::open(&folder.path().join("empty.pt")).unwrap_err().to_string();
    assert!(message.contains("ModuleDict") && message.contains("torch.save(model.state_dict()"), "{message}");
}

#[test]
fn t14_hugging_faces_bin_files_are_read() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = r"
import json, torch
from safetensors.torch import save_file
torch.manual_seed(0)
t = torch.randn
ours, theirs = {}, {}
for tower, ours_at in (('vision_model', 'visual.'), ('text_model', '')):
    q, k, v = t(4, 4), t(4, 4), t(4, 4)
    ours[f'{ours_at}transformer.resblocks.0.attn.in_proj_weight'] = torch.cat([q, k, v])
    for name, part in zip('qkv', (q, k, v)): theirs[f'{tower}.encoder.layers.0.self_attn.{name}_proj.weight'] = part
p, c, w = t(4, 6), t(4, 3, 2, 2), t(9, 4)
theirs |= {'visual_projection.weight': p.t(), 'vision_model.embeddings.patch_embedding.weight': c, 'text_model.embeddings.token_embedding.weight': w}
ours |= {'visual.proj': p, 'visual.conv1.weight': c, 'token_embedding.weight': w}
save_file(ours, 'wanted.safetensors')
torch.save(theirs, 'pytorch_model.bin')
names = list(theirs)
weight_map = {}
for number, part in enumerate((names[:4], names[4:]), 1):
    file = f'pytorch_model-{number:05}-of-00002.bin'
    torch.save({name: theirs[name] for name in part}, file)
    weight_map |= {name: file for name in part}
json.dump({'metadata': {}, 'weight_map': weight_map}, open('pytorch_model.bin.index.json', 'w'))
";
    run(&python, folder.path(), program);
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        assert_same(&folder.path().join(name), &folder.path().join("wanted.safetensors"));
    }
}

#[test]
fn t14_architectures_have_the_numbers_of_open_clips() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let names = pairmill_train::model::Architecture::names();
    let program = format!(
        "import json, open_clip\nprint(json.dumps({{n: open_clip.get_model_config(n) for n in {names:?}}}))"
    );
    let output = String::from_utf8(run(&python, folder.path(), &program).stdout).unwrap();
    let configs: serde_json::Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let mut compared = 0;
    for name in &names {
        let theirs = &configs[name];
        if name.contains("tiny") {
            assert!(theirs.is_null(), "{name} is ours alone");
            continue;
        }
        let ours = serde_json::to_value(pairmill_train::model::Architecture::find(name).unwrap()).unwrap();
        let wanted = |pointer: &str, default: serde_json::Value| {
            theirs.pointer(pointer).filter(|value| !value.is_null()).cloned().unwrap_or(default)
        };
        let mut pairs = vec![
            ("/embed_dim", "/embed_dim", 0),
            ("/visual/image_size", "/vision_cfg/image_size", 224),
            ("/visual/layers", "/vision_cfg/layers", 12),
            ("/visual/width", "/vision_cfg/width", 768),
            ("/visual/head_width", "/vision_cfg/head_width", 64),
            ("/text/context_length", "/text_cfg/context_length", 77),
            ("/text/vocab_size", "/text_cfg/vocab_size", 49_408),
            ("/text/width", "/text_cfg/width", 512),
            ("/text/heads", "/text_cfg/heads", 8),
            ("/text/layers", "/text_cfg/layers", 12),
        ];
        if ours["visual"]["kind"] == "transformer" {
            pairs.push(("/visual/patch_size", "/vision_cfg/patch_size", 16));
        }
        assert!(
            theirs.pointer("/vision_cfg/mlp_ratio").is_none_or(|ratio| ratio.as_f64() == Some(4.0)),
            "{name}"
        );
        for (here, there, default) in pairs {
            assert_eq!(*ours.pointer(here).unwrap(), wanted(there, default.into()), "{name} {here}");
        }
        compared += 1;
    }
    assert!(compared >= 14, "{compared}");
}
