#!/usr/bin/env python3
"""optim.py [FOLDER]: writes schedule.json and adamw.json (default: beside this script), the reference values of the tests
in src/optim. Run it with the Python of the open_clip peer (tests/peers/install.sh open_clip)."""

import json
import math
import pathlib
import sys

import torch
from open_clip_train.scheduler import const_lr, const_lr_cooldown, cosine_lr

STEPS = 100
SHAPES = {
    "visual.conv1.weight": (2, 3, 3, 3),
    "visual.bn1.weight": (5,),
    "text_projection": (9, 7),
    "logit_scale": (),
}
CONFIGS = [
    {"beta1": 0.9, "beta2": 0.98, "eps": 1e-6, "weight_decay": 0.2, "decay_rule": "v0.2.1", "clip_norm": None},
    {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1, "decay_rule": "v0.1", "clip_norm": None},
    {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1, "decay_rule": "all", "clip_norm": 1.0},
]


def schedules():
    """(our description of the schedule, open_clip's step → learning rate)"""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)

    def case(shape, make, base, warmup, total, *more):
        described = {"base_lr": base, "warmup_steps": warmup, "total_steps": total, "shape": shape}
        return described, make(optimizer, base, warmup, total, *more)

    cosine, const = {"name": "cosine"}, {"name": "const"}
    yield case(cosine, cosine_lr, 1e-3, 5000, 42176)
    yield case(cosine, cosine_lr, 5e-4, 10000, 100_003)
    yield case(cosine, cosine_lr, 3e-3, 500, 640)
    yield case(cosine, cosine_lr, 1e-3, 0, 33)
    yield case(const, const_lr, 1e-3, 100, 1000)
    for steps, power, end in [(300, 1.0, 0.0), (250, 2.0, 1e-5)]:
        shape = {"name": "const-cooldown", "steps": steps, "power": power, "end_lr": end}
        yield case(shape, const_lr_cooldown, 1e-3, 100, 1000, steps, power, end)


def samples(described):
    total, warmup = described["total_steps"], described["warmup_steps"]
    steps = {0, 1, 2, warmup - 1, warmup, warmup + 1, total - 1, total} | {total * i // 20 for i in range(20)}
    return sorted(step for step in steps if 0 <= step <= total)


def formula(numel, seed):
    return torch.sin(torch.arange(numel, dtype=torch.float64) * 0.7 + seed).to(torch.float32)


def excluded(rule, name, ndim):
    named = any(word in name for word in ("bn", "ln", "bias", "logit_scale"))
    return {"v0.1": named, "v0.2.1": named or ndim < 2, "all": False}[rule]


def train(config, **kernel):
    params = {}
    for index, (name, shape) in enumerate(SHAPES.items()):
        params[name] = torch.nn.Parameter(formula(math.prod(shape), index).reshape(shape))
    out = [p for n, p in params.items() if excluded(config["decay_rule"], n, p.ndim)]
    rest = [p for n, p in params.items() if not excluded(config["decay_rule"], n, p.ndim)]
    optimizer = torch.optim.AdamW(
        [{"params": out, "weight_decay": 0.0}, {"params": rest, "weight_decay": config["weight_decay"]}],
        lr=1e-2,
        betas=(config["beta1"], config["beta2"]),
        eps=config["eps"],
        **kernel,
    )
    for step in range(STEPS):
        for index, param in enumerate(params.values()):
            size = step % 7 * 0.3 + 0.01
            param.grad = formula(param.numel(), step * 10 + index).reshape(param.shape) * size
        if config["clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(params.values(), config["clip_norm"])
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 / (1.0 + step * 0.1)
        optimizer.step()
    tensors = {}
    for name, param in params.items():
        tensors[name] = param
        tensors |= {f"{kind}.{name}": optimizer.state[param][kind] for kind in ("exp_avg", "exp_avg_sq", "step")}
    # Nine digits tell every f32 apart.
    return {name: [float(f"{x:.9g}") for x in tensor.detach().flatten().tolist()] for name, tensor in tensors.items()}


def check_kernels(config, reference):
    """torch's own kernels agree with each other to what the test allows us."""
    for kernel in ({"foreach": True}, {"fused": True}):
        for name, values in train(config, **kernel).items():
            worst = max(abs(a - b) for a, b in zip(values, reference[name], strict=True))
            assert worst <= 1e-6, (kernel, name, worst)


def main(folder):
    cases = [{"schedule": d, "lr": [[step, lr(step)] for step in samples(d)]} for d, lr in schedules()]
    (folder / "schedule.json").write_text(json.dumps(cases) + "\n")
    runs = []
    for config in CONFIGS:
        tensors = train(config, foreach=False)
        check_kernels(config, tensors)
        runs.append({"config": config, "tensors": tensors})
    (folder / "adamw.json").write_text(json.dumps(runs) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
