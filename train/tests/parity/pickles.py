#!/usr/bin/env python3
"""pickles.py [FOLDER]: writes the small .pt files of the tests in src/checkpoint/pickle (default: beside this script, in
pickles/). Run it with the Python of the open_clip peer (tests/peers/install.sh open_clip)."""

import argparse
import collections
import pathlib
import pickle
import sys

import torch


class Tower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Parameter(torch.arange(6, dtype=torch.float32).reshape(2, 3))
        self.bn1 = torch.nn.BatchNorm1d(3)

    def forward(self, x):
        return self.bn1(x @ self.proj)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = Tower()
        self.logit_scale = torch.nn.Parameter(torch.tensor(4.5))
        self.register_buffer("input_resolution", torch.tensor(64))

    def forward(self, x):
        return self.visual(x) * self.logit_scale


def main(folder):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = Model()
    torch.save(model.state_dict(), folder / "state_dict.pt")

    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        model.visual.proj.copy_(torch.arange(6).reshape(2, 3))
        model.logit_scale.fill_(4.5)
        model.visual.bn1.bias.zero_()
    checkpoint = {
        "epoch": 3,
        "name": "run",
        "state_dict": collections.OrderedDict((f"module.{k}", v) for k, v in model.state_dict().items()),
        "optimizer": optimizer.state_dict(),
        "scaler": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 5},
    }
    torch.save(checkpoint, folder / "open_clip.pt")

    torch.jit.script(model.half().eval()).save(folder / "scripted.pt")

    base = torch.arange(12, dtype=torch.float32)
    views = {
        "turned": base.reshape(3, 4).t(),
        "part": base[3:7],
        "parameter": torch.nn.Parameter(base.to(torch.bfloat16)),
        "long": torch.tensor([-1, 2**40]),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 4),
        "list": [torch.tensor(1.0), (torch.tensor(2.0), 3)],
        "words": {"note": "text", "size": torch.Size([1, 2]), "device": torch.device("cpu")},
    }
    torch.save(views, folder / "views.pt")
    torch.save({"a": torch.zeros(2)}, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(model, folder / "module.pt")
    pickled(model, folder)


def pickled(model, folder):
    """What people have besides: modules as wise-ft dumps them, a namespace beside the weights as SLIP's checkpoints."""
    model.transform = {"size": torch.Size([1]), "pick": max, "options": argparse.Namespace(lr=0.1)}
    torch.save(model, folder / "legacy_module.pt", _use_new_zipfile_serialization=False)
    (folder / "dumped_module.pkl").write_bytes(pickle.dumps(model))
    checkpoint = {
        "epoch": 3,
        "state_dict": {"visual.proj": model.visual.proj.detach(), "logit_scale": model.logit_scale.detach()},
        "args": argparse.Namespace(lr=3e-3, betas=(0.9, 0.98), names=["a"], path=pathlib.PurePosixPath("/data")),
    }
    torch.save(checkpoint, folder / "namespace.pt")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "pickles")
