#!/usr/bin/env python3
"""check_weights.py FOLDER CONVERT...: open_clip's weights through ours and back, in every layout people have them.

`CONVERT IN OUT` is our program (train/examples/convert_weights.rs). Each file that open_clip or OpenAI would have written
is converted, loaded into a fresh open_clip model with no missing or unexpected key, and compared tensor by tensor."""

import collections
import importlib.metadata
import pathlib
import subprocess
import sys

import open_clip
import torch
from safetensors.torch import load_file, save_file

import plain_tar

MODELS = ["RN50", "ViT-B-32"]


def layouts(model, folder):
    """(name, file, number format) of each way to write the model."""
    state = model.state_dict()
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, folder / "w.safetensors")
    yield "safetensors", folder / "w.safetensors", torch.float32
    torch.save(state, folder / "state_dict.pt")
    yield "state dict", folder / "state_dict.pt", torch.float32
    wrapped = collections.OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())
    torch.save({"epoch": 1, "name": "run", "state_dict": wrapped}, folder / "epoch_1.pt")
    yield "open_clip checkpoint of a DDP run", folder / "epoch_1.pt", torch.float32


def openai(model, folder):
    """A TorchScript archive in half precision with OpenAI's extra numbers."""
    for name, value in [("input_resolution", 224), ("context_length", 77), ("vocab_size", 49408)]:
        # The class has them as plain numbers, which its forward does not need.
        model.__dict__.pop(name, None)
        model.register_buffer(name, torch.tensor(value))
    open_clip.model.convert_weights_to_lp(model.eval(), torch.float16)
    torch.jit.script(model).save(folder / "openai.pt")
    return "OpenAI's TorchScript", folder / "openai.pt", torch.float16


def check(name, layout, convert, folder):
    label, path, kind = layout
    out = folder / "out.safetensors"
    subprocess.run([*convert, path, out], check=True)
    fresh = open_clip.create_model(name)
    found = open_clip.factory.load_state_dict(str(out))
    fresh.load_state_dict(found, strict=True)
    # As create_model(pretrained=FILE) does it.
    open_clip.load_checkpoint(fresh, str(out), strict=True)
    original = open_clip.factory.load_state_dict(str(path), weights_only=False) if kind == torch.float16 else None
    return label, out, fresh.state_dict(), original


def run(folder, convert):
    folder.mkdir(parents=True, exist_ok=True)
    compared = 0
    labels = []
    for name in MODELS:
        torch.manual_seed(0)
        model = open_clip.create_model(name)
        want = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        for layout in [*layouts(model, folder), openai(model, folder)]:
            label, out, got, original = check(name, layout, convert, folder)
            where = f"{name} as {label}"
            plain_tar.expect(where, "names", sorted(load_file(out)), sorted(want))
            for key, tensor in got.items():
                reference = want[key] if original is None else original[key].to(tensor.dtype)
                if not torch.equal(tensor, reference):
                    raise plain_tar.Difference(f"{where}: other values in {key}")
                compared += 1
            labels.append(label)
    version = importlib.metadata.version("open_clip_torch")
    return f"open_clip {version}: {', '.join(MODELS)} from {len(set(labels))} layouts, {compared} tensors equal, strict"


if __name__ == "__main__":
    plain_tar.report(lambda: run(pathlib.Path(sys.argv[1]), sys.argv[2:]))
